"""Engines that answer and have nothing to do, each on a socket of its own; they refuse to make containers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

_VERSION = {"Version": "20.10.24", "ApiVersion": "1.41"}
_REFUSAL = {"message": "this engine makes no containers"}


class Stubs:
    """See the module. `open` counts the connections that are open now, over all engines.

    `asked_at` says when a container of each name was asked for first, by `time.perf_counter`.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self.urls = [f"unix://{folder}/{number}" for number in range(count)]
        self.open = 0
        self.asked_at: dict[str, float] = {}
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()
        self._ready.wait(10)

    def stop(self) -> None:
        """Answer no more."""
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        for url in self.urls:
            path = url.removeprefix("unix://")
            server = asyncio.start_unix_server(lambda *streams, name=path: self._serve(name, *streams), path)
            self._loop.run_until_complete(server)
        self._ready.set()
        self._loop.run_forever()

    async def _serve(self, engine: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                method, target, _ = head.decode().split(" ", 2)
                await reader.readexactly(_length(head))
                if "/events" in target:
                    writer.write(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n")
                    await writer.drain()
                    await reader.read()
                    return
                if method == "POST" and "/containers/create" in target:
                    name = parse_qs(urlsplit(target).query)["name"][0]
                    self.asked_at.setdefault(name, time.perf_counter())
                status = "200 OK" if method == "GET" else "400 Bad Request"
                writer.write(_reply(status, _answer(engine, target) if method == "GET" else _REFUSAL))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self.open -= 1
            writer.close()


def _length(head: bytes) -> int:
    """Of the body that follows the head of a request."""
    found = re.search(rb"(?i)^content-length: *(\d+)", head, re.MULTILINE)
    return int(found[1]) if found else 0


def _reply(status: str, answer: object) -> bytes:
    body = json.dumps(answer).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _answer(name: str, path: str) -> object:
    if path.endswith("/version"):
        return _VERSION
    if path.endswith("/info"):
        return {"ID": name, "NCPU": 2, "MemTotal": 2**33, "ContainersRunning": 0}
    return []


@contextlib.contextmanager
def answering(count: int) -> Iterator[Stubs]:
    """So many engines, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="tallyman-bench-") as folder:
        stubs = Stubs(Path(folder), count)
        try:
            yield stubs
        finally:
            stubs.stop()

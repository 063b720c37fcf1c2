"""Fifty engines that answer and have nothing to do, each on a socket of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

_VERSION = {"Version": "20.10.24", "ApiVersion": "1.41"}


class Stubs:
    """See the module. `open` counts the connections that are open now, over all engines."""

    def __init__(self, folder: Path, count: int) -> None:
        self.urls = [f"unix://{folder}/{number}" for number in range(count)]
        self.open = 0
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

    async def _serve(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                path = head.split(b" ", 2)[1].decode()
                if "/events" in path:
                    writer.write(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n")
                    await writer.drain()
                    await reader.read()
                    return
                body = json.dumps(_answer(name, path)).encode()
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                    % len(body)
                )
                writer.write(body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self.open -= 1
            writer.close()


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

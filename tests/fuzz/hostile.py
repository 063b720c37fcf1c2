"""An engine that answers as it likes, at a Unix socket."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Hostile:
    """Answers every request with `answer`, byte by byte as it is, and hangs up; `url` is where."""

    def __init__(self, folder: Path) -> None:
        self.url = f"unix://{folder}/hostile.sock"
        self.answer = b""
        self.is_endless = False
        hostile = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                try:
                    while (line := self.rfile.readline()) not in {b"\r\n", b""}:
                        assert len(line) < 100_000
                    self.wfile.write(hostile.answer)
                    while hostile.is_endless:
                        self.wfile.write(hostile.answer[-4096:])
                except OSError:
                    return

        class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads = True

        self._server = Server(self.url.removeprefix("unix://"), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Answer no more."""
        self.is_endless = False
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def engine(folder: Path) -> Iterator[Hostile]:
    """One, as long as the block lasts."""
    hostile = Hostile(folder)
    try:
        yield hostile
    finally:
        hostile.close()

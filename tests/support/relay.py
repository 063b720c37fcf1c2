"""A TCP way to an engine's Unix socket, which can be cut, frozen, and wrapped in TLS."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from types import TracebackType
from typing import Self


class Relay:
    """Passes bytes on. `cut_after` bytes of answers (per connection, None: never) it hangs up."""

    def __init__(self, socket_path: str, *, tls: ssl.SSLContext | None = None) -> None:
        self.cut_after: int | None = None
        self.connections = 0
        self._socket_path = socket_path
        self._tls = tls
        self._open = threading.Event()
        self._open.set()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"tcp://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._spawn(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.thaw()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join()

    def freeze(self) -> None:
        """Pass nothing on any more, and keep every connection: what a pulled cable looks like."""
        self._open.clear()

    def thaw(self) -> None:
        """Pass bytes on again."""
        self._open.set()

    def cut(self) -> None:
        """Hang up all connections."""
        while self._sockets:
            with contextlib.suppress(OSError):
                self._sockets.pop().shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                self._spawn(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.suppress(OSError))
            near = stack.enter_context(
                self._tls.wrap_socket(client, server_side=True) if self._tls else client
            )
            engine = stack.enter_context(socket.socket(socket.AF_UNIX))
            engine.connect(self._socket_path)
            self._sockets += [near, engine]
            upstream = self._spawn(self._pass_on, near, engine, None)
            self._pass_on(engine, near, self.cut_after)
            upstream.join()

    def _pass_on(self, source: socket.socket, target: socket.socket, limit: int | None) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._open.wait()
                if limit is not None and passed + len(data) >= limit:
                    target.sendall(data[: limit - passed])
                    break
                target.sendall(data)
                passed += len(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _spawn(self, function, *arguments) -> threading.Thread:
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

"""Ways to an engine and to a database on which one message can be held, lost, answered or acted upon.

A `Trap` names the message. It snaps once: what it does then runs in the tap's thread, while that message and
its connection wait. So a test can kill a worker right after the engine has made its container, say, with no
hook in the worker.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Self

_STREAMS = re.compile(r"/(events|logs|attach|images/create)\b")
_VERSION = re.compile(r"^/v[0-9.]+")
_READY = (b"Z\x00\x00\x00\x05I", b"Z\x00\x00\x00\x05T", b"Z\x00\x00\x00\x05E")


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer that the tap gives itself."""

    status: int
    message: str


class Lost(Exception):
    """Raised by a trap's act: hang up instead of passing the message on."""


@dataclass(slots=True)
class Trap:
    """Snaps at the first message it fits.

    For an engine `message` is a pattern of "METHOD /path", without version and query; for a database the
    texts of statements that one connection must have carried out, one after the other. `when` is before the
    message is passed on, or after its answer came and before that is passed on. `shows` is a pattern that an
    answer must fit.
    """

    message: str | tuple[str, ...]
    when: Literal["before", "after"]
    act: Callable[[], Answer | None] = lambda: None
    shows: str = ""
    snapped: threading.Event = field(default_factory=threading.Event)


class Tap:
    """What both kinds of taps share: accepting, and one trap at a time."""

    def __init__(self, socket_path: str) -> None:
        self._socket_path = socket_path
        self._trap: Trap | None = None
        # Seconds to wait before what changes something at an engine is passed on, and before its answer is.
        self.nap: Callable[[], float] = lambda: 0.0
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        self._spawn(self._accept)
        return self

    def __exit__(self, *_exc: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._hang_up()

    def lead_to(self, socket_path: str) -> None:
        """Hang up, and lead somewhere else from now on."""
        self._socket_path = socket_path
        self._hang_up()

    def _hang_up(self) -> None:
        while self._sockets:
            with contextlib.suppress(OSError):
                self._sockets.pop().shutdown(socket.SHUT_RDWR)

    def set(self, trap: Trap | None) -> None:
        """Wait for this from now on, and for nothing else."""
        with self._lock:
            self._trap = trap

    def _snap(self, when: str, fits: Callable[[Trap], bool]) -> Answer | None:
        with self._lock:
            trap = self._trap
            if trap is None or trap.when != when or not fits(trap):
                return None
            self._trap = None
        trap.snapped.set()
        return trap.act()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._spawn(self._serve_and_close, client)

    def _serve_and_close(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as far, contextlib.suppress(OSError, Lost, EOFError):
            far.connect(self._socket_path)
            self._sockets += [client, far]
            self._serve(client, far)

    def _serve(self, client: socket.socket, far: socket.socket) -> None:
        raise NotImplementedError

    @staticmethod
    def _spawn(function: Callable[..., None], *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        thread.start()
        return thread


class EngineTap(Tap):
    """An engine at `url`, one HTTP exchange after the other on each connection; streams pass through."""

    @property
    def url(self) -> str:
        """Where a host finds it."""
        return f"tcp://127.0.0.1:{self.port}"

    def _serve(self, client: socket.socket, far: socket.socket) -> None:
        reader = client.makefile("rb")
        while head := _head(reader):
            method, target, _ = head.decode("latin-1").split(" ", 2)
            call = f"{method} {_VERSION.sub('', target).split('?')[0]}"
            length = re.search(rb"(?im)^content-length: *(\d+)", head)
            body = reader.read(int(length[1])) if length else b""
            if _STREAMS.search(call):
                _stream(client, far, head + body)
                return
            answer = self._snap("before", lambda trap, call=call: _fits(trap, call))
            naps = method not in {"GET", "HEAD"}
            time.sleep(self.nap() if naps else 0.0)
            if answer is None:
                far.sendall(head + body)
                time.sleep(self.nap() if naps else 0.0)
                answer = self._pass_back(client, far, method, call)
            if answer is not None:
                client.sendall(_rendered(answer))

    def _pass_back(self, client: socket.socket, far: socket.socket, method: str, call: str) -> Answer | None:
        reply = http.client.HTTPResponse(far, method=method)
        reply.begin()
        body = reply.read()
        shown = body.decode("utf-8", "replace")
        answer = self._snap(
            "after", lambda trap: _fits(trap, call) and re.search(trap.shows, shown, re.S) is not None
        )
        if answer is None:
            kept = [
                (name, value)
                for name, value in reply.getheaders()
                if name.lower() not in {"transfer-encoding", "content-length", "connection"}
            ]
            has_body = method != "HEAD" and reply.status not in {204, 304}
            kept += [("Content-Length", str(len(body)))] if has_body else []
            lines = [f"HTTP/1.1 {reply.status} {reply.reason}", *(f"{n}: {v}" for n, v in kept), "", ""]
            client.sendall("\r\n".join(lines).encode("latin-1") + body)
        return answer


class DatabaseTap(Tap):
    """A PostgreSQL server at the socket in `directory`."""

    def __init__(self, directory: str) -> None:
        super().__init__(f"{directory}/.s.PGSQL.5432")

    def url(self, user: str, name: str) -> str:
        """The DATABASE_URL of one of its databases."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{name}?sslmode=disable&gssencmode=disable"

    def _serve(self, client: socket.socket, far: socket.socket) -> None:
        state = _Statements()
        back = self._spawn(self._answers, far, client, state)
        try:
            while data := client.recv(1 << 20):
                executed = state.executed(data)
                self._snap("before", lambda trap, executed=executed: state.fits(trap, executed))
                state.asked(self._trap, executed)
                far.sendall(data)
        finally:
            for end in (far, client):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            back.join()

    def _answers(self, far: socket.socket, client: socket.socket, state: _Statements) -> None:
        with contextlib.suppress(OSError, Lost):
            while data := far.recv(1 << 20):
                if data.endswith(_READY):
                    self._snap("after", state.is_complete)
                client.sendall(data)
        for end in (far, client):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class _Statements:
    """How many of a trap's texts one connection has had carried out.

    A statement that was prepared is sent by its text once, and by its name each time that it is to be done.
    """

    def __init__(self) -> None:
        self._trap: Trap | None = None
        self._seen = 0
        self._rest = b""
        self._prepared: dict[bytes, bytes] = {}
        self._type_bytes = 0  # none in the first message of a connection

    def executed(self, data: bytes) -> bytes:
        """The texts of the statements that are to be carried out, as of this part of what is sent."""
        self._rest += data
        texts = []
        while message := self._next_message():
            kind, body = message
            if kind == b"Q":
                texts.append(body)
            elif kind == b"P":
                name, query = body.split(b"\0")[:2]
                self._prepared[name] = query
            elif kind == b"B":
                texts.append(self._prepared.get(body.split(b"\0")[1], b""))
        return b"\n".join(texts)

    def _next_message(self) -> tuple[bytes, bytes] | None:
        begin = self._type_bytes
        size = int.from_bytes(self._rest[begin : begin + 4], "big")
        if len(self._rest) < begin + 4 or len(self._rest) < begin + size:
            return None
        kind, body = self._rest[:begin], self._rest[begin + 4 : begin + size]
        self._rest, self._type_bytes = self._rest[begin + size :], 1
        return kind, body

    def fits(self, trap: Trap, executed: bytes) -> bool:
        """Whether the last of the trap's texts is to be carried out, and all others were."""
        self._follow(trap)
        return self._seen == len(trap.message) - 1 and trap.message[-1].encode() in executed

    def asked(self, trap: Trap | None, executed: bytes) -> None:
        """Note what is to be carried out."""
        if trap is None:
            return
        self._follow(trap)
        if self._seen < len(trap.message) and trap.message[self._seen].encode() in executed:
            self._seen += 1

    def is_complete(self, trap: Trap) -> bool:
        """Whether the answer that comes now is the one to the last text."""
        return self._trap is trap and self._seen == len(trap.message)

    def _follow(self, trap: Trap) -> None:
        if self._trap is not trap:
            self._trap, self._seen = trap, 0


def _fits(trap: Trap, call: str) -> bool:
    return re.fullmatch(str(trap.message), call) is not None


def _head(reader) -> bytes:
    lines = []
    while line := reader.readline():
        lines.append(line)
        if line == b"\r\n":
            return b"".join(lines)
    return b""


def _rendered(answer: Answer) -> bytes:
    body = f'{{"message": "{answer.message}"}}'.encode()
    head = (
        f"HTTP/1.1 {answer.status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _stream(client: socket.socket, far: socket.socket, request: bytes) -> None:
    far.sendall(request)

    def back() -> None:
        with contextlib.suppress(OSError):
            while data := far.recv(65536):
                client.sendall(data)
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)

    thread = threading.Thread(target=back, daemon=True)
    thread.start()
    with contextlib.suppress(OSError):
        while data := client.recv(65536):
            far.sendall(data)
    with contextlib.suppress(OSError):
        far.shutdown(socket.SHUT_RDWR)
    thread.join()

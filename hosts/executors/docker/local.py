"""Short requests to an engine at a Unix socket, or behind ssh: one kept connection, and nothing but what an
engine needs.

The client library takes 1.1 ms of CPU for a request; a launch makes five, which was half of what a worker
spent on it. TCP and TLS stay with the library.
"""

from __future__ import annotations

import io
import select
import socket
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

# What may stand in a request's line as it is; all else is written as %xx, so that no value ends the line.
_SAFE = "!#$%&'()*+,/:;=?@[]~"
_LONGEST_LINE = 65_536
LONGEST_ANSWER = 128 * 1024 * 1024  # a list of 50,000 containers
PATIENCE = 4.0  # times the seconds that one wait may take, for all of an answer
_MOST_HEADERS = 100
_BODILESS = {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}


class LocalSession:
    """One thread's connection, made when it is needed. OSError if there is no whole answer."""

    def __init__(self, connect: Callable[[float], socket.socket]) -> None:
        """`connect` makes a connection within so many seconds."""
        self._connect = connect
        self._socket: socket.socket | None = None
        self._reader: io.BufferedReader | None = None
        self._bound = Bound(0.0)

    def request(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None,
        body: str | None,
        timeout: float,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """Status and body of the answer. Sent once: what becomes of a request without answer is not known."""
        connection = self._connected(timeout)
        try:
            connection.sendall(_request(method, path, params, body, headers or {}))
            assert self._reader is not None
            self._bound.begin(PATIENCE * timeout)
            status, content, keep = _answer(self._reader)
        except BaseException:
            self.close()
            raise
        if not keep:
            self.close()
        return status, content

    def close(self) -> None:
        """Drop the connection."""
        reader, connection, self._reader, self._socket = self._reader, self._socket, None, None
        if reader:
            reader.close()
        if connection:
            connection.close()

    def __del__(self) -> None:
        """A thread that ends leaves its connection to nobody."""
        self.close()

    def _connected(self, timeout: float) -> socket.socket:
        if self._socket and _is_readable(self._socket):
            self.close()  # the engine has closed it, or says what nobody asked for
        if self._socket is None:
            connection = self._connect(timeout)
            self._socket, self._reader = connection, io.BufferedReader(_Bounded(connection, self._bound))
        self._socket.settimeout(timeout)
        return self._socket


class Bound:
    """How much of one answer, and for how long, is listened to: OSError beyond it."""

    def __init__(self, seconds: float) -> None:
        self.begin(seconds)

    def begin(self, seconds: float) -> None:
        """Another answer."""
        self._left, self._until = LONGEST_ANSWER, time.monotonic() + seconds

    def take(self, size: int) -> None:
        """So many bytes of it came."""
        self._left -= size
        if self._left < 0:
            raise ConnectionAbortedError("its answer is longer than any of an engine")
        if time.monotonic() > self._until:
            raise TimeoutError("its answer came to no end in time")


class _Bounded(io.RawIOBase):
    """What a connection says, within bounds."""

    def __init__(self, connection: socket.socket, bound: Bound) -> None:
        self._connection, self._bound = connection, bound

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = self._connection.recv_into(buffer)
        self._bound.take(size)
        return size


def connect_to(path: str, seconds: float) -> socket.socket:
    """A connection to the Unix socket."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(seconds)
        connection.connect(path)
    except BaseException:
        connection.close()
        raise
    return connection


def _is_readable(connection: socket.socket) -> bool:
    looking = select.poll()  # not select: it takes no descriptor above 1023
    looking.register(connection, select.POLLIN)
    return bool(looking.poll(0))


def _request(
    method: str, path: str, params: Mapping[str, Any] | None, body: str | None, headers: Mapping[str, str]
) -> bytes:
    target = quote(path, safe=_SAFE)
    if params:
        target += f"?{urlencode({key: value for key, value in params.items() if value is not None})}"
    content = b"" if body is None else body.encode()
    more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = (
        f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n{more}"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode("ascii") + content


def _answer(reader: io.BufferedReader) -> tuple[int, bytes, bool]:
    """Status, body, and whether the connection may be used again."""
    version, status = _status(reader)
    while status < HTTPStatus.OK:  # 100: there is more to come
        _headers(reader)
        version, status = _status(reader)
    headers = _headers(reader)
    keep = version == b"HTTP/1.1" and headers.get(b"connection", b"").lower() != b"close"
    if status in _BODILESS:
        return status, b"", keep
    if headers.get(b"transfer-encoding", b"").lower() == b"chunked":
        return status, _chunks(reader), keep
    if b"content-length" in headers:
        return status, _exactly(reader, _number(headers[b"content-length"], 10)), keep
    return status, reader.read(), False


def _status(reader: io.BufferedReader) -> tuple[bytes, int]:
    version, _, rest = _line(reader).partition(b" ")
    if not version.startswith(b"HTTP/"):
        raise ConnectionAbortedError("what answers does not speak HTTP")
    return version, _number(rest[:3], 10)


def _headers(reader: io.BufferedReader) -> dict[bytes, bytes]:
    headers: dict[bytes, bytes] = {}
    for _ in range(_MOST_HEADERS):
        line = _line(reader)
        if not line:
            return headers
        name, _, value = line.partition(b":")
        headers[name.strip().lower()] = value.strip()
    raise ConnectionAbortedError("its answer has more headers than an engine sends")


def _chunks(reader: io.BufferedReader) -> bytes:
    parts = []
    while size := _number(_line(reader).partition(b";")[0], 16):
        parts.append(_exactly(reader, size))
        _line(reader)
    _headers(reader)  # trailers
    return b"".join(parts)


def _line(reader: io.BufferedReader) -> bytes:
    line = reader.readline(_LONGEST_LINE)
    if not line.endswith(b"\n"):
        raise ConnectionResetError("the answer ended in the middle")
    return line.rstrip(b"\r\n")


def _exactly(reader: io.BufferedReader, size: int) -> bytes:
    if size > LONGEST_ANSWER:
        raise ConnectionAbortedError("its answer is longer than any of an engine")
    content = reader.read(size)
    if len(content) < size:
        raise ConnectionResetError("the answer ended in the middle")
    return content


def _number(digits: bytes, base: int) -> int:
    try:
        number = int(digits, base)
    except ValueError:
        number = -1
    if number < 0:
        raise ConnectionAbortedError("what answers does not speak HTTP as engines do")
    return number

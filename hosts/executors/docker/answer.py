"""Takes an HTTP answer apart as its bytes come. Pure."""

from __future__ import annotations

import re
from http import HTTPStatus

from hosts.errors import DockerConnectionError
from hosts.executors.docker.client import engine_words

LONGEST_HEAD = 64 * 1024
LONGEST_CHUNK = 16 * 1024 * 1024

_HEAD_END = b"\r\n\r\n"
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})")


class Answer:
    """One answer, read piece by piece.

    `status` is 0 until the head is complete; `complete` is True once the end of the body is proved.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._rest = b""
        self._chunked = False
        self._length: int | None = None
        self._refusal = b""
        self.status = 0
        self.complete = False

    def feed(self, data: bytes) -> bytes:
        """The part of the body that `data` makes complete. A refusal's body is kept for `words`."""
        if not self.status:
            data = self._head(data)
        body = self._body(data) if data else b""
        if self.status in {0, HTTPStatus.OK}:
            return body
        self._refusal += body
        return b""

    def end(self) -> None:
        """The connection has ended; DockerConnectionError if it is known that something is missing."""
        if not self.status:
            raise DockerConnectionError(f"{self._name}: the engine closed the connection without an answer.")
        if self.complete:
            return
        if self._chunked or self._length is not None:
            raise DockerConnectionError(f"{self._name}: the engine's answer was cut off.")
        self.complete = True

    def words(self) -> str:
        """What the engine says about its refusal, on one line; empty if no engine wrote it."""
        return engine_words(self._refusal.decode("utf-8", "replace"))

    def _head(self, data: bytes) -> bytes:
        head, found, rest = (self._rest + data).partition(_HEAD_END)
        if len(head) > LONGEST_HEAD:
            raise self._not_http()
        if not found:
            self._rest = head
            return b""
        status_line = _STATUS_LINE.match(head)
        if not status_line:
            raise self._not_http()
        self._rest = b""
        self.status = int(status_line[1])
        self._framing(head.decode("latin-1").lower().split("\r\n")[1:])
        return rest

    def _framing(self, lines: list[str]) -> None:
        headers = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
        self._chunked = "chunked" in headers.get("transfer-encoding", "")
        if not self._chunked and headers.get("content-length", "").isdigit():
            self._length = int(headers["content-length"])
            self.complete = self._length == 0

    def _body(self, data: bytes) -> bytes:
        if self._chunked:
            return self._chunks(data)
        if self._length is not None:
            self._length -= len(data)
            self.complete = self._length <= 0
        return data

    def _chunks(self, data: bytes) -> bytes:
        data = self._rest + data
        # Run for every record of a log that is not followed, most of which are of few different sizes.
        place, have, parts, find = 0, len(data), [], data.find
        sizes: dict[bytes, int] = {}
        while not self.complete and (line_end := find(b"\r\n", place)) >= 0:
            line = data[place:line_end]
            size = sizes.get(line)
            if size is None:
                size = sizes[line] = self._chunk_size(line)
                self.complete = size == 0
            end = line_end + 2 + size
            if have < end + 2:
                break
            parts.append(data[line_end + 2 : end])
            place = end + 2
        self._rest = data[place:]
        return b"".join(parts)

    def _chunk_size(self, line: bytes) -> int:
        try:
            size = int(line.partition(b";")[0], 16)
        except ValueError:
            raise self._not_http() from None
        if size > LONGEST_CHUNK:
            raise self._not_http()
        return size

    def _not_http(self) -> DockerConnectionError:
        return DockerConnectionError(
            f"{self._name}: what answers there does not speak HTTP as an engine does."
        )

"""JSON lines from an engine, for as long as they come and we want them (events, pulls)."""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

from hosts.errors import DockerConnectionError
from hosts.executors.docker import wire
from hosts.executors.docker.answer import Answer
from hosts.executors.docker.endpoint import Endpoint

SLICE_SECONDS = 0.25  # how late a wish to stop is seen where it has to be looked for
LONGEST_LINE = 1024 * 1024


class Silence(DockerConnectionError):
    """Nothing came for longer than the caller allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to ask for, and how patiently."""

    target: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    http: str = "1.0"  # with 1.1 an answer that was cut off is told from one that came to its end
    connect_seconds: float
    answer_seconds: float
    idle_seconds: float


class JsonLines:
    """An answer of JSON lines. Every wait ends early when `stopped()` turns true; then nothing more comes."""

    def __init__(
        self, endpoint: Endpoint, request: Request, stopped: Callable[[], bool], *, wake: int = -1
    ) -> None:
        """`wake` is a descriptor that gets readable when `stopped` turns true, where there is one."""
        self._name = endpoint.name
        self._request = request
        self._stopped, self._wake = stopped, wake
        self._answer = Answer(endpoint.name)
        self._body = b""
        self._connection: socket.socket = wire.open_request(
            endpoint,
            request.target,
            method=request.method,
            headers=request.headers,
            http=request.http,
            connect_seconds=request.connect_seconds,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._connection.close()

    def status(self) -> int:
        """The answer's HTTP status, as soon as it is there; 0 if we were stopped before."""
        while not self._answer.status and self._more(self._request.answer_seconds):
            pass
        return self._answer.status

    @property
    def is_answered(self) -> bool:
        """Whether the answer has begun."""
        return bool(self._answer.status)

    @property
    def is_complete(self) -> bool:
        """Whether the answer came to its end."""
        return self._answer.complete

    def refusal(self) -> str:
        """The engine's words after a status that is not 200."""
        while not self._answer.complete and self._more(self._request.answer_seconds):
            pass
        return self._answer.words()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Each line's object, the moment it is complete, until the end or until stopped."""
        going_on = self.status() == HTTPStatus.OK
        while True:
            *lines, self._body = self._body.split(b"\n")
            yield from map(self._parse, filter(bytes.strip, lines))
            if not going_on:
                break
            going_on = self._more(self._request.idle_seconds)
        if self._answer.complete and self._body.strip():
            yield self._parse(self._body)

    def _more(self, patience_seconds: float) -> bool:
        """Take in what comes next; False at the end, or when stopped."""
        data = self._wait_and_receive(time.monotonic() + patience_seconds)
        if not data:
            if data is not None:
                self._answer.end()
            return False
        self._body += self._answer.feed(data)
        if len(self._body) > LONGEST_LINE and b"\n" not in self._body:
            raise DockerConnectionError(f"{self._name}: the engine sent a line without end.")
        return not self._answer.complete

    def _wait_and_receive(self, deadline: float) -> bytes | None:
        poll = select.poll()
        poll.register(self._connection, select.POLLIN)
        if self._wake >= 0:
            poll.register(self._wake, select.POLLIN)
        while not self._stopped():
            if wire.holds_back(self._connection) or poll.poll(self._patience(deadline) * 1000):
                data = wire.receive(self._connection, self._name)
                if data is not None:
                    return data
            if time.monotonic() > deadline:
                raise Silence(f"{self._name}: the engine fell silent.")
        return None

    def _patience(self, deadline: float) -> float:
        return SLICE_SECONDS if self._wake < 0 else max(0.0, deadline - time.monotonic()) + 0.001

    def _parse(self, line: bytes) -> dict[str, Any]:
        try:
            value = json.loads(line)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise DockerConnectionError(f"{self._name}: the engine sent a line that is no JSON object.")
        return value

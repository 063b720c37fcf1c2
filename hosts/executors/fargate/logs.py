"""One task's log: fetched page by page on a thread of the reader, taken without blocking."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hosts.errors import ConfigurationError, DockerConnectionError, EngineError
from hosts.executors import frames
from hosts.executors.fargate.log_events import MISSING, Stored, frames_of
from hosts.executors.frames import Frame
from hosts.executors.log_source import Resume

_BLOCK_BYTES = 64 * 1024
_ENOUGH_BYTES = 1024 * 1024  # read ahead of whoever takes it
_FULL_SECONDS = 0.2
_SOON_SECONDS = 1.0
_SELDOM_SECONDS = 5.0
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Page:
    """What GetLogEvents gave. `token` is that of the next page; the same one again is the end for now."""

    events: Iterable[Mapping[str, Any]]
    token: str | None


# (token, first time in milliseconds) to a page; None: there is no such stream, or not yet.
Fetch = Callable[[str | None, int | None], Page | None]


class CloudWatchLog:
    """A LogSource.

    The log of a task that has stopped is complete once nothing has come for so long after its stop as
    CloudWatch may need to show what it took.
    """

    def __init__(
        self,
        fetch: Fetch,
        stopped_seconds: Callable[[], float | None],
        resume: Resume,
        *,
        follow: bool,
        settle_seconds: float,
    ) -> None:
        """`stopped_seconds` tells for how long the task has been stopped; None: it has not."""
        self._fetch, self._stopped_seconds = fetch, stopped_seconds
        self._follow, self._settle_seconds = follow, settle_seconds
        self._stored = Stored(resume)
        self._token: str | None = None
        self._vain = self._failures = 0
        self._lock = threading.Lock()
        self._blocks: deque[bytes] = deque()
        self._size = 0
        self._is_over = False
        self._error: EngineError | None = None
        self._missing = ""
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        if resume.end:  # CloudWatch gives no last records of a stream: it is taken up by time
            self.fail(DockerConnectionError("A log of CloudWatch cannot be taken up by its last records."))

    # ── for whoever reads it ──────────────────────────────────────────────────────────────────────────

    def fileno(self) -> int:
        """Readable while there is something to take."""
        return self._wake

    @property
    def missing(self) -> str:
        """A sentence once it is known that stored events are not there any more."""
        return self._missing

    def read(self, budget: int) -> bytes | None:
        """Whole frames, around `budget` bytes at most; b"" if there are none yet; None at the end."""
        with self._lock:
            taken: list[bytes] = []
            while self._blocks and sum(map(len, taken)) < budget:
                taken.append(self._blocks.popleft())
            data = b"".join(taken)
            self._size -= len(data)
            if data:
                if not self._blocks and not self._is_over:
                    self._clear()
                return data
            if self._error is not None:
                raise self._error
            return None if self._is_over else b""

    def close(self) -> None:
        """Fetch no more."""
        with self._lock:
            if self._wake >= 0:
                os.close(self._wake)
            self._wake, self._is_over = -1, True

    # ── for the reader ────────────────────────────────────────────────────────────────────────────────

    def step(self) -> float | None:
        """Fetch the next page; in how many seconds to come again, None: never."""
        if self._is_over:
            return None
        if self._size >= _ENOUGH_BYTES:
            return _FULL_SECONDS
        try:
            return self._next()
        except EngineError as exc:
            self._failures += 1
            if self._failures >= _TRIES:
                self.fail(exc)
                return None
            return min(_SELDOM_SECONDS, _FULL_SECONDS * 2.0**self._failures)
        except ConfigurationError as exc:
            self.fail(DockerConnectionError(str(exc)))
            return None

    def fail(self, error: EngineError) -> None:
        """Tell whoever reads it that it broke, once what was fetched is taken."""
        with self._lock:
            self._error = error
            self._end()

    def _next(self) -> float | None:
        # Asked before the page: what comes after a stop is only what CloudWatch had not shown yet.
        stopped = self._stopped_seconds()
        page = self._fetch(self._token, self._stored.start_ms)
        self._failures = 0
        if page is not None:
            self._give(self._stored.left_out(frames_of(page.events)))
            if page.token != self._token:
                self._token, self._vain = page.token, 0
                return 0.0
        if self._is_complete(stopped):
            if not self._stored.is_met:
                self._missing = MISSING
            with self._lock:
                self._end()
            return None
        self._vain += 1
        return _SOON_SECONDS if stopped is not None else min(_SELDOM_SECONDS, _SOON_SECONDS * self._vain)

    def _is_complete(self, stopped: float | None) -> bool:
        if stopped is None:
            return not self._follow
        return stopped >= self._settle_seconds

    def _give(self, given: Iterable[Frame]) -> None:
        block = bytearray()
        for frame in given:
            block += frames.pack(*frame)
            if len(block) >= _BLOCK_BYTES:
                self._put(bytes(block))
                block.clear()
        if block:
            self._put(bytes(block))

    def _put(self, block: bytes) -> None:
        with self._lock:
            if self._wake >= 0:
                self._blocks.append(block)
                self._size += len(block)
                os.eventfd_write(self._wake, 1)

    def _end(self) -> None:
        self._is_over = True
        if self._wake >= 0:
            os.eventfd_write(self._wake, 1)

    def _clear(self) -> None:
        if self._wake >= 0:
            os.eventfd_read(self._wake)

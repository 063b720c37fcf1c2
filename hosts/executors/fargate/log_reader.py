"""A few threads that fetch the logs of all tasks of a host, and no faster than CloudWatch lets them."""

from __future__ import annotations

import heapq
import itertools
import threading
import time

import structlog

from hosts.errors import DockerConnectionError
from hosts.executors.fargate.logs import CloudWatchLog

logger = structlog.get_logger(__name__)

THREADS = 2


class LogReader:
    """For all threads. While no log is read, it has no thread."""

    def __init__(self, requests_per_second: float) -> None:
        self._gap_seconds = 1 / requests_per_second
        self._changed = threading.Condition()
        self._due: list[tuple[float, int, CloudWatchLog]] = []
        self._order = itertools.count()
        self._threads = 0
        self._next_call = 0.0

    def add(self, log: CloudWatchLog) -> None:
        """Fetch this one from now on, until it says that it is over."""
        with self._changed:
            heapq.heappush(self._due, (time.monotonic(), next(self._order), log))
            if self._threads < min(THREADS, len(self._due)):
                self._threads += 1
                threading.Thread(target=self._run, name="cloudwatch", daemon=True).start()
            self._changed.notify()

    def _run(self) -> None:
        while (log := self._take()) is not None:
            wait = _step(log)
            if wait is not None:
                with self._changed:
                    heapq.heappush(self._due, (time.monotonic() + wait, next(self._order), log))
                    self._changed.notify()

    def _take(self) -> CloudWatchLog | None:
        """Wait until one is due and a call is allowed; None: there is nothing left for this thread."""
        with self._changed:
            while self._due:
                now = time.monotonic()
                wait = max(self._due[0][0], self._next_call) - now
                if wait <= 0:
                    self._next_call = max(now, self._next_call) + self._gap_seconds
                    return heapq.heappop(self._due)[2]
                self._changed.wait(wait)
            self._threads -= 1
            return None


def _step(log: CloudWatchLog) -> float | None:
    try:
        return log.step()
    except Exception as exc:  # one broken log must not end the reading of all the others
        logger.exception("cloudwatch log crashed")
        log.fail(DockerConnectionError(f"{type(exc).__name__}: {exc}"))
        return None

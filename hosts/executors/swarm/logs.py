"""The log of a task on another node, which the manager gets from there."""

from __future__ import annotations

import time
from collections.abc import Callable

from hosts.executors.log_source import LogSource

_QUIET_SECONDS = 1.0


class FarLog:
    """A followed log that ends. A manager goes on waiting when the task has ended: nothing follows then.

    The end proves no more than that of any followed log; one read without `follow` does.
    """

    def __init__(self, source: LogSource, is_over: Callable[[], bool]) -> None:
        self._source, self._is_over = source, is_over
        self._quiet_since: float | None = None

    def fileno(self) -> int:
        """None to wait for: whether it has ended only asking tells."""
        return -1

    @property
    def missing(self) -> str:
        """As of the log that is read."""
        return self._source.missing

    def read(self, budget: int) -> bytes | None:
        """As of the log that is read; None too once the task is over and nothing has come for a second."""
        data = self._source.read(budget)
        if data or data is None:
            self._quiet_since = None
            return data
        if not self._is_over():
            return b""
        now = time.monotonic()
        self._quiet_since = now if self._quiet_since is None else self._quiet_since
        return None if now - self._quiet_since >= _QUIET_SECONDS else b""

    def close(self) -> None:
        """As of the log that is read."""
        self._source.close()

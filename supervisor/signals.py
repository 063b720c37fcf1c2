"""Signals, noted by handlers and acted upon by loops. Nothing else ever happens in a handler."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Iterable
from types import FrameType

from supervisor.worker.inbox import Wake


class SignalInbox:
    """Which signals came since the last look; each arrival ends the wait on `wake`.

    `any_came` is True from the first one on.
    """

    def __init__(self, wake: Wake, signals: Iterable[signal.Signals]) -> None:
        self._wake = wake
        self._seen: deque[signal.Signals] = deque()
        self.any_came = False
        for number in signals:
            signal.signal(number, self._note)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._seen.append(signal.Signals(number))
        self.any_came = True
        self._wake.set()

    def take(self) -> list[signal.Signals]:
        """The signals that came, oldest first."""
        seen = []
        while self._seen:
            seen.append(self._seen.popleft())
        return seen

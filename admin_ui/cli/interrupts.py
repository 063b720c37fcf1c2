"""Ctrl-C as something a loop asks about, instead of something that breaks it anywhere."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
from types import FrameType
from typing import Any


class Interrupts:
    """Counts Ctrl-C while it is entered; a wait ends early when one comes."""

    def __init__(self) -> None:
        self.count = 0
        self._before: Any = None
        self._reader, self._writer = -1, -1

    def __enter__(self) -> Interrupts:
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
        os.close(self._reader)
        os.close(self._writer)

    def wait(self, seconds: float) -> None:
        """Sleep, but not on after a Ctrl-C."""
        if select.select([self._reader], [], [], seconds)[0]:
            os.read(self._reader, 1)

    def _note(self, _signum: int, _frame: FrameType | None) -> None:
        self.count += 1
        with contextlib.suppress(BlockingIOError):
            os.write(self._writer, b"\0")

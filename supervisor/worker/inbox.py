"""Where threads leave what the main thread shall know, and how they wake it."""

from __future__ import annotations

import contextlib
import os
import queue
import select
from collections.abc import Sequence
from typing import Any


class Wake:
    """A pipe that ends the main thread's wait; writing to it never blocks."""

    def __init__(self, also: Sequence[int] = ()) -> None:
        """`also` are descriptors whose data ends the wait too; reading them is their owner's business."""
        self._also = list(also)
        self.reader, self._writer = os.pipe()
        os.set_blocking(self.reader, False)
        os.set_blocking(self._writer, False)

    def set(self) -> None:
        """End the wait under way, or the next one."""
        with contextlib.suppress(BlockingIOError, OSError):  # full: it is set already; closed: nobody waits
            os.write(self._writer, b"w")

    def watch(self, descriptor: int) -> None:
        """Let data on this descriptor end the wait too."""
        self._also.append(descriptor)

    def unwatch(self, descriptor: int) -> None:
        """Wait on it no more."""
        self._also.remove(descriptor)

    def descriptors(self) -> tuple[int, int]:
        """Both ends, for a child to close."""
        return self.reader, self._writer

    def wait(self, timeout_seconds: float, also: Sequence[int] = ()) -> None:
        """Wait until it is set, and take the wake-up; or until the time is over, or `also` has data."""
        select.select([self.reader, *self._also, *also], [], [], max(0.0, timeout_seconds))
        self.clear()

    def clear(self) -> None:
        """Take all wake-ups so far."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self.reader, 4096):
                pass

    def close(self) -> None:
        """Let both ends go."""
        os.close(self.reader)
        os.close(self._writer)


class Inbox:
    """Small messages, unbounded: their number is bounded by the steps in flight."""

    def __init__(self, wake: Wake) -> None:
        self._messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._wake = wake

    def put(self, message: Any) -> None:
        """Leave a message and wake the main thread."""
        self._messages.put(message)
        self._wake.set()

    def take(self) -> list[Any]:
        """All messages so far, oldest first."""
        messages = []
        with contextlib.suppress(queue.Empty):
            while True:
                messages.append(self._messages.get_nowait())
        return messages

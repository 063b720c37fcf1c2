"""Where threads leave what the main thread shall know, and how they wake it."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import select
import threading
from collections.abc import Hashable, Sequence
from typing import Any

MOST_KEYS = 10_000


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
        if descriptor in self._also:
            self._also.remove(descriptor)

    def descriptors(self) -> tuple[int, int]:
        """Both ends, for a child to close."""
        return self.reader, self._writer

    def wait(self, timeout_seconds: float, also: Sequence[int] = ()) -> bool:
        """Wait until it is set, and take the wake-up; False: the time is over.

        Or until `also` has data: then a wake-up is left to the next wait.
        """
        waiting = select.poll()  # select would take no descriptor above 1023: a few hundred hosts
        for descriptor in (self.reader, *self._also, *also):
            waiting.register(descriptor, select.POLLIN)
        ready = dict(waiting.poll(math.ceil(1000 * max(0.0, timeout_seconds))))
        if closed := [descriptor for descriptor, events in ready.items() if events & select.POLLNVAL]:
            raise OSError(errno.EBADF, f"{os.strerror(errno.EBADF)}: {closed}")
        if self.reader in ready and ready.keys().isdisjoint(also):
            self.clear()
        return bool(ready)

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
    """Small messages. Bounded, however long the main thread is held up by its database.

    Plain ones are bounded by the steps in flight and by the log pump's share, and none is ever lost. What
    comes for as long as containers run is put with a key: a newer one takes the place of an older.
    """

    def __init__(self, wake: Wake) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._messages: list[Any] = []
        self._latest: dict[Hashable, Any] = {}
        self._enough = MOST_KEYS
        self._is_enough = threading.Event()

    def put(self, message: Any, *, wake: bool = True) -> None:
        """Leave a message and wake the main thread; if it is not to be woken, call `wake` before long."""
        with self._lock:
            self._messages.append(message)
            if len(self._messages) >= self._enough:
                self._is_enough.set()
        if wake:
            self._wake.set()

    def wake(self) -> None:
        """Wake the main thread for what was left without."""
        self._wake.set()

    def put_latest(self, key: Hashable, message: Any, *, wake: bool = True) -> None:
        """Leave it in the place of the last one of this key; with very many keys waiting it is dropped."""
        with self._lock:
            if key in self._latest or len(self._latest) < MOST_KEYS:
                self._latest[key] = message
        if wake:
            self._wake.set()

    @property
    def count(self) -> int:
        """How many plain messages are there."""
        return len(self._messages)

    def wait_for(self, count: int, seconds: float) -> int:
        """Wait until there are so many plain ones, no longer than that; how many there are."""
        with self._lock:
            self._enough = count
            self._is_enough.clear()
            if len(self._messages) >= count:
                self._is_enough.set()
        self._is_enough.wait(seconds)
        self._enough = MOST_KEYS
        return self.count

    def take(self) -> list[Any]:
        """All messages so far: the plain ones, oldest first, then the latest of each key."""
        with self._lock:
            messages = [*self._messages, *self._latest.values()]
            self._messages, self._latest = [], {}
        return messages

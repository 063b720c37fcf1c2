"""A wish to stop that is waited for together with a connection, so that nobody has to look for it."""

from __future__ import annotations

import os
import threading


class Stop(threading.Event):
    """An event with a descriptor, which is readable once it is set."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def set(self) -> None:
        """As of any event."""
        super().set()
        with self._lock:
            if self._descriptor >= 0:
                os.eventfd_write(self._descriptor, 1)

    def fileno(self) -> int:
        """The descriptor; -1 once it is closed."""
        return self._descriptor

    def close(self) -> None:
        """Nobody waits for it any more; it may still be set."""
        with self._lock:
            os.close(self._descriptor)
            self._descriptor = -1


def descriptor_of(stop: threading.Event) -> int:
    """What to wait for besides; -1 where the event has to be looked at."""
    return stop.fileno() if isinstance(stop, Stop) else -1

"""inotify(7): a descriptor that gets readable when a file was written."""

from __future__ import annotations

import ctypes
import os

_IN_MODIFY = 0x2
_IN_CLOSE_WRITE = 0x8
_IN_MOVED_TO = 0x80
_MASK = _IN_MODIFY | _IN_CLOSE_WRITE | _IN_MOVED_TO
_libc = ctypes.CDLL(None, use_errno=True)


def watch(*paths: str) -> int:
    """A non-blocking descriptor of these files' events: one grew, was closed, or, in a folder, got a name.

    OSError if the kernel gives none: it has a limit, or a path is not there.
    """
    descriptor: int = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "inotify_init1 failed")
    for path in paths:
        if _libc.inotify_add_watch(descriptor, os.fsencode(path), _MASK) < 0:
            number = ctypes.get_errno()
            os.close(descriptor)
            raise OSError(number, "inotify_add_watch failed", path)
    return descriptor


def drain(descriptor: int) -> bool:
    """Take all events off the descriptor; False if there was none."""
    seen = False
    while True:
        try:
            seen = bool(os.read(descriptor, 65536)) or seen
        except BlockingIOError:
            return seen

"""Which attempt a worker handles just now, in memory that outlives it: so its master knows what killed it.

Two threads of a worker take in what containers and engines say: the main thread and the log pump. Each has a
crumb, and names the attempt in it for as long as it handles that attempt. A name costs a microsecond.
"""

from __future__ import annotations

import mmap
import struct
import threading
from dataclasses import dataclass
from types import TracebackType
from uuid import UUID

from django.db import InterfaceError, OperationalError

from hosts.errors import LeaseLost

# The worker lives on when these pass through it: the database is away, or the host is somebody else's now.
SURVIVED = (OperationalError, InterfaceError, LeaseLost)
NOBODY = UUID(int=0)

_NONE, _HANDLING, _RAISED = 0, 1, 2
_CRUMB = struct.Struct("=16sQB")  # the attempt, the thread, the state
_STATE_OFFSET = 24


@dataclass(frozen=True, slots=True)
class Left:
    """An attempt that was being handled when the process ended; `raised`: an exception left the block."""

    attempt_id: UUID
    thread: int
    raised: bool


class Crumb:
    """`with crumb(attempt_id):` names the attempt. One thread's own; blocks do not stand in one another."""

    __slots__ = ("_at", "_memory")

    def __init__(self, memory: mmap.mmap, at: int) -> None:
        self._memory, self._at = memory, at

    def __call__(self, attempt_id: UUID) -> Crumb:
        _CRUMB.pack_into(self._memory, self._at, attempt_id.bytes, threading.get_ident(), _HANDLING)
        return self

    def __enter__(self) -> None:
        """It is named already."""

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        crashed = kind is not None and not issubclass(kind, SURVIVED)
        self._memory[self._at + _STATE_OFFSET] = _RAISED if crashed else _NONE

    def left(self) -> Left | None:
        """What it names; None if nothing."""
        attempt, thread, state = _CRUMB.unpack_from(self._memory, self._at)
        if state == _NONE or attempt == NOBODY.bytes:
            return None
        return Left(UUID(bytes=attempt), thread, raised=state == _RAISED)


class Breadcrumbs:
    """A page shared with every process that is forked after it was made; so the master makes one a worker."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)
        self.main, self.logs = Crumb(self._memory, 0), Crumb(self._memory, 64)

    def left(self) -> list[Left]:
        """Which attempts were being handled, the main thread's first."""
        return [left for left in (self.main.left(), self.logs.left()) if left]

    def close(self) -> None:
        """Let the page go; its worker keeps its own view of it."""
        self._memory.close()

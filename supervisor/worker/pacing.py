"""How long the log of a busy container is left alone between two reads. Pure, but for `nap`.

An engine sends every record by itself, and to be woken for each of them costs many times what it takes to
read it. A Unix socket holds 277 small records, though, and an engine that cannot send stops reading what the
container writes. So the pauses are such that between two reads about a hundred records come.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

SHORTEST_SECONDS = 0.0005
LONGEST_SECONDS = 0.032
_FIRST_SECONDS = 0.002
_MANY_RECORDS, _FEW_RECORDS = 120, 50
_MANY_BYTES = 64 * 1024  # a Unix socket holds about 200 KiB of large records
# A selector waits in whole milliseconds, and rather too long.
_EXACT_SECONDS = 0.002
_SELECTOR_SECONDS = 0.001


@dataclass(slots=True)
class Pace:
    """One log's. `due` is when it is to be read again, by the monotonic clock; 0: when its socket says so."""

    due: float = 0.0
    record_bytes: int = 64
    pause: float = _FIRST_SECONDS

    def after(self, size: int, now: float) -> None:
        """So many bytes came just now: set when to read again."""
        records = size // max(1, self.record_bytes)
        if records > _MANY_RECORDS or size > _MANY_BYTES:
            self.pause = max(SHORTEST_SECONDS, self.pause / 2)
        elif records < _FEW_RECORDS and size * 2 < _MANY_BYTES:
            self.pause = min(LONGEST_SECONDS, self.pause * 2)
        # On a grid, so that logs of one pace are read in one turn; not right now, where that is on the grid.
        self.due = ((now + SHORTEST_SECONDS / 2) // self.pause + 1) * self.pause

    def soon(self, now: float) -> None:
        """What came is not to be counted: read again before its socket is full."""
        self.due = now + SHORTEST_SECONDS

    def rest(self) -> None:
        """Nothing came: it is busy no more."""
        self.due, self.pause = 0.0, _FIRST_SECONDS


def nap(seconds: float | None) -> float | None:
    """Sleep if it is not for long; how long there is still to wait, with a selector. None: for ever."""
    if seconds is None:
        return None
    if seconds > _EXACT_SECONDS:
        return seconds - _SELECTOR_SECONDS
    if seconds > 0:
        time.sleep(seconds)
    return 0.0

"""Room that several hosts' workers share, given to them in the order in which they asked in vain. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

# A worker that waits asks several times a second; one that does not any more has nothing to do, or is gone.
_FORGOTTEN_AFTER_SECONDS = 1.0


@dataclass(slots=True)
class _Waiting:
    asked_clock: float


class Turns:
    """Without it, the worker whose job ends takes the next one at once, and the others starve."""

    def __init__(self) -> None:
        self._queue: dict[UUID, _Waiting] = {}  # in the order of their first asking

    def room(self, host_id: UUID, spare: int, now: float, *, wants: Callable[[], bool]) -> int:
        """How much of the `spare` room this host may take now; `wants` says whether it has use for any."""
        recent = now - _FORGOTTEN_AFTER_SECONDS
        self._queue = {key: one for key, one in self._queue.items() if one.asked_clock >= recent}
        waiting = list(self._queue)
        ahead = waiting.index(host_id) if host_id in self._queue else len(waiting)
        room = spare - ahead
        if room > 0:
            self._queue.pop(host_id, None)
        elif host_id in self._queue:
            self._queue[host_id].asked_clock = now
        elif wants():
            self._queue[host_id] = _Waiting(now)
        return room

"""Waiting a moment for answers that come close together, so that one turn takes and writes them all."""

from __future__ import annotations

from supervisor.worker.inbox import Inbox

_MOMENT_SECONDS = 0.003
_LONGEST_PAUSE = 64
CLAIM_HELD_SECONDS = 0.005
_PAYS_FOR_SECONDS = 0.1


class Gathering:
    """A turn costs about as much for ten answers as for one, and its writes too.

    Where steps are slow nothing comes in a moment: after each wait in vain more turns go by without one.
    """

    def __init__(self) -> None:
        self._pause = self._left = 0
        self._pays_until = 0.0
        self._held_until: float | None = None

    def wait(self, inbox: Inbox, expected: int, now: float) -> None:
        """Wait until `expected` answers are there, but a moment at most, and only if there are some."""
        before = inbox.count
        if not 0 < before < expected:
            return
        if self._left:
            self._left -= 1
            return
        pays = inbox.wait_for(expected, _MOMENT_SECONDS) >= expected
        self._pays_until = now + _PAYS_FOR_SECONDS if pays else 0.0
        self._pause = 0 if pays else min(_LONGEST_PAUSE, 2 * self._pause + 1)
        self._left = self._pause

    def holds_claim(self, now: float, held_slots: int) -> bool:
        """Whether to claim a little later: jobs that end in a moment make room for as many in one claim."""
        if now >= self._pays_until or not held_slots:
            self._held_until = None
            return False
        self._held_until = self._held_until or now + CLAIM_HELD_SECONDS
        if now < self._held_until:
            return True
        self._held_until = None
        return False

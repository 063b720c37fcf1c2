"""The supervisor's periodic deleting of what is not to be kept, by the clerk of one supervisor at a time."""

from __future__ import annotations

from uuid import UUID

import structlog
from django.db import IntegrityError, ProgrammingError

from hosts.identity import boot_clock
from jobs.retention import Policy, Sweep
from supervisor import processes

logger = structlog.get_logger(__name__)

_PASS_EVERY_SECONDS = 60.0
_REST_SECONDS = 0.05
# The other four fifths of the time belong to those who have work to do with the same tables.
_REST_SHARE = 4.0


class Retention:
    """One short transaction a turn, so that neither beats nor, on SQLite, other writers wait for it.

    Two supervisors that both believe to be the eldest do no harm: each skips what the other has locked.
    """

    def __init__(self, supervisor: UUID, policy: Policy) -> None:
        self._supervisor, self._policy = supervisor, policy
        self._sweep: Sweep | None = None
        self.next_clock = 0.0

    def turn(self, now: float) -> None:
        """Delete a batch if it is time; `next_clock` says when it is again."""
        if now < self.next_clock:
            return
        self.next_clock = now + _PASS_EVERY_SECONDS
        if self._sweep is None:
            if not processes.is_eldest(self._supervisor):
                return
            self._sweep = Sweep(self._policy)
        try:
            more = self._sweep.step()
        except (IntegrityError, ProgrammingError) as exc:  # not the connection's fault: the clerk goes on
            logger.error("retention cannot delete", reason=str(exc).strip())
            self._sweep = None
            return
        if more:
            self.next_clock = now + max(_REST_SECONDS, _REST_SHARE * (boot_clock() - now))
            return
        if self._sweep.deleted:
            logger.info("retention deleted", **self._sweep.deleted)
        self._sweep = None

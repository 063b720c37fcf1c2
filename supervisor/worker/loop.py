"""The main loop of a process that works for one host (under the master) or several (by itself).

One thread, one database connection, one wait for everything. When the database goes away the loop waits for
it and goes on where it was: containers run on meanwhile, and their engines keep what they say.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Protocol

import structlog
from django.db import DatabaseError, InterfaceError, OperationalError, close_old_connections, connection

from hosts.identity import boot_clock
from supervisor import database
from supervisor.worker.host import HostWorker
from supervisor.worker.inbox import Wake

logger = structlog.get_logger(__name__)

_DATABASE_WAITS_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
_LONGEST_WAIT_SECONDS = 5.0
_SAY_AGAIN_SECONDS = 60.0
# Longer than any holder of a host takes to find that the database is back, and to renew its lease.
_HOLDERS_FIRST_SECONDS = 10.0


class Control(Protocol):
    """What tells the loop to go on, and is told that it does."""

    def tick(self) -> bool:
        """Called once a turn; False: stop."""


class WorkerLoop:
    """Turns its workers until told to stop, or until none of them has anything to do here any more."""

    def __init__(
        self,
        workers: list[HostWorker],
        wake: Wake,
        control: Control,
        successor: Callable[[HostWorker], HostWorker | None] = lambda _worker: None,
    ) -> None:
        """`successor` makes another worker for the host of one that is over; None: nobody shall go on."""
        self.workers, self._successor = workers, successor
        self._wake, self._control = wake, control
        self._database_failures = 0
        self._say_clock = 0.0

    @property
    def is_database_away(self) -> bool:
        """Whether the last turn could not be done for it."""
        return self._database_failures > 0

    def run(self, *, until: Callable[[], bool] = lambda: False) -> None:
        """Work until the control says stop, `until` says so, or every worker is over."""
        while self._control.tick():
            patience = self._turn()
            if not self._database_failures and until():
                return
            self._wake.wait(patience)
            for worker in [] if self._database_failures else [one for one in self.workers if one.over]:
                logger.info("worker is over", host=worker.host.name, reason=worker.over)
                self._give_back(worker, boot_clock() + 2.0)
                self._replace(worker)
            if not self.workers:
                return

    def _replace(self, worker: HostWorker) -> None:
        try:
            after = self._successor(worker)
        except (OperationalError, InterfaceError) as exc:  # it stays, over as it is, until the next turn
            self._database_trouble(exc)
            return
        self.workers.remove(worker)
        if after:
            self.workers.append(after)

    def poke(self) -> None:
        """There may be something new in the database."""
        for worker in self.workers:
            worker.poke()

    def _turn(self) -> float:
        try:
            close_old_connections()
            waits = [worker.turn() for worker in self.workers if not worker.over]
        except (OperationalError, InterfaceError) as exc:
            return self._database_trouble(exc)
        if self._database_failures:
            logger.info("database is back")
            for worker in self.workers:
                worker.leave_expired_until = boot_clock() + _HOLDERS_FIRST_SECONDS
        self._database_failures = 0
        return min([*waits, _LONGEST_WAIT_SECONDS])

    def _database_trouble(self, error: Exception) -> float:
        place = min(self._database_failures, len(_DATABASE_WAITS_SECONDS) - 1)
        now = boot_clock()
        if not self._database_failures or now >= self._say_clock:
            self._say_clock = now + _SAY_AGAIN_SECONDS
            logger.warning("database trouble; containers run on", reason=str(error).strip())
        self._database_failures += 1
        connection.close()
        return _DATABASE_WAITS_SECONDS[place] * random.uniform(0.5, 1.5)

    def detach(self, timeout_seconds: float, is_hurried: Callable[[], bool] = lambda: False) -> None:
        """Give every host back, within the time; what the database does not take is found again later.

        Once `is_hurried`, without waiting for what is under way at the engines.
        """
        until = boot_clock() + timeout_seconds
        database.hurry()
        for worker in self.workers:
            self._give_back(worker, until, is_hurried)

    def _give_back(
        self, worker: HostWorker, until: float, is_hurried: Callable[[], bool] = lambda: False
    ) -> None:
        try:
            worker.detach(until, may_write=not self._database_failures, is_hurried=is_hurried)
        except (DatabaseError, InterfaceError) as exc:
            logger.warning(
                "host not released; its lease will run out", host=worker.host.name, reason=str(exc)
            )

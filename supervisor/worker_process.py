"""A worker under the master: one host, one loop, told what to do over a pipe and by signals."""

from __future__ import annotations

import os
import signal
import socket
from dataclasses import dataclass, field
from uuid import UUID

import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError, ProgrammingError
from setproctitle import setproctitle

from hosts import identity, installation, log_fields
from hosts.identity import boot_clock
from hosts.models import DockerHost
from jobs.kept_containers import Keep
from supervisor import database
from supervisor.exit_codes import CONFIGURATION, OK, TRY_LATER
from supervisor.fork import ChildPipes
from supervisor.models import Role
from supervisor.recycling import Recycling
from supervisor.signals import SignalInbox
from supervisor.watchdog import Watchdog
from supervisor.worker.breadcrumb import Breadcrumbs
from supervisor.worker.host import HostWorker
from supervisor.worker.inbox import Wake
from supervisor.worker.loop import WorkerLoop
from supervisor.worker.orphans import Reap
from supervisor.worker.settings import WorkerSettings

logger = structlog.get_logger(__name__)

POKE, MORE, LESS, DRAIN, HURRY = b"p", b"+", b"-", b"d", b"h"
READY, HOLDING = b"R", b"H"
_SHARE_TO_DETACH = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """What the supervisor was started with, as far as workers care."""

    poll_interval_seconds: float
    concurrency: int | None
    shutdown_timeout_seconds: float
    keep: Keep
    reap: Reap = field(default_factory=Reap)


class WorkerProcess:
    """Boots, turns, detaches. Made in the child."""

    def __init__(self, host_id: UUID, options: WorkerOptions, pipes: ChildPipes, crumbs: Breadcrumbs) -> None:
        self._host_id, self._options, self._pipes, self._crumbs = host_id, options, pipes, crumbs
        self._wake = Wake(also=[pipes.control])
        self._signals = SignalInbox(self._wake, (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT))
        self._worker: HostWorker | None = None
        self._loop: WorkerLoop | None = None
        self._quit = self._hurried = self._draining = self._told = False
        self._extra_slots = 0
        self._boot_clock = boot_clock()
        self._who = f"worker@{socket.gethostname()}:{os.getpid()}"
        self._recycling = Recycling(
            max_age_seconds=settings.TALLYMAN_WORKER_MAX_AGE_SECONDS,
            max_jobs=settings.TALLYMAN_WORKER_MAX_JOBS,
        )

    def run(self) -> int:
        """Work until told to stop or until there is nothing to do here; one of `supervisor.exit_codes`."""
        log_fields.begin(role=Role.WORKER.value, worker=self._who)
        database.use_own_options(plans_by_index=True)
        Watchdog(is_stopping=lambda: self._signals.any_came, progress=lambda: self._pipes.tell(b"."))
        if not database.wait_for(self.tick, self._wake):
            return TRY_LATER
        try:
            worker = self._boot()
        except (OperationalError, InterfaceError) as exc:
            logger.warning("the database went away while the worker booted", reason=str(exc).strip())
            return TRY_LATER
        if worker is None:
            return OK
        self._worker = worker
        self._loop = loop = WorkerLoop([worker], self._wake, self)
        self._pass_on()
        self._pipes.tell(READY)
        fits = self._turn_on(loop)
        if not self._quit:
            # The master kills what is left at the timeout itself; the lease is to be given back before.
            loop.detach(self._options.shutdown_timeout_seconds * _SHARE_TO_DETACH, self._is_hurried)
        return CONFIGURATION if worker.is_parked else TRY_LATER if worker.is_displaced or not fits else OK

    @staticmethod
    def _turn_on(loop: WorkerLoop) -> bool:
        """Work; False: the database has been migrated for another version of this program."""
        try:
            loop.run()
        except ProgrammingError as exc:
            if not database.is_of_another_version(exc):
                raise
            logger.error("the database is of another version of this program", reason=str(exc).strip())
            return False
        return True

    def _boot(self) -> HostWorker | None:
        # Its secrets are read later, where those that cannot be park it.
        host = DockerHost.objects.defer("secret_config").filter(pk=self._host_id).first()
        if host:
            log_fields.begin(role=Role.WORKER.value, worker=self._who, host=host.name)
        return HostWorker(host, self._settings(), self._wake, lambda: None) if host else None

    def tick(self) -> bool:
        """Show progress, take signals and the master's words; False: stop."""
        self._pipes.tell(b".")
        seen = self._signals.take()
        self._quit = self._quit or signal.SIGQUIT in seen
        if seen or not self._take_words():
            return False
        if self._worker:
            self._tell_that_it_holds(self._worker)
            held, slots = self._worker.held_slots, self._worker.slots
            setproctitle(f"tallyman: worker[{self._worker.host.name}] {held}/{slots} running")
            return not (self._is_drained(self._worker) or self._is_worn(self._worker))
        return True

    def _is_hurried(self) -> bool:
        """Whether somebody does not want to wait for what is under way."""
        self._take_words()
        self._hurried = self._hurried or signal.SIGQUIT in self._signals.take()
        return self._hurried

    def _is_drained(self, worker: HostWorker) -> bool:
        """Whether it is to end because nothing runs any more; not before it has looked what does."""
        has_looked = worker.lease is not None or worker.is_idle
        return worker.draining and has_looked and not worker.runs

    def _is_worn(self, worker: HostWorker) -> bool:
        age = boot_clock() - self._boot_clock
        able = worker.lease and not self._draining  # a draining supervisor starts no other in its place
        why = self._recycling.why(age_seconds=age, jobs=worker.claimed_count) if able else ""
        if why:
            logger.info("worker recycles itself", host=worker.host.name, reason=why)
        return bool(why)

    def _tell_that_it_holds(self, worker: HostWorker) -> None:
        if worker.lease and not self._told:
            self._told = True
            self._pipes.tell(HOLDING)

    def _take_words(self) -> bool:
        try:
            words = os.read(self._pipes.control, 4096)
        except BlockingIOError:
            return True
        if not words:  # the master is gone, and the end of the pipe would end every wait
            self._wake.unwatch(self._pipes.control)
            return False
        for word in words:
            self._change_slots((word == MORE[0]) - (word == LESS[0]))
        self._draining, self._hurried = self._draining or DRAIN in words, self._hurried or HURRY in words
        self._pass_on()
        return True

    def _change_slots(self, by: int) -> None:
        """One more or less; below none there is nothing to take away, and nothing to be given back first."""
        self._extra_slots += by
        if self._worker:
            own_slots = self._worker.settings.slots_of(self._worker.host)
            self._extra_slots = max(self._extra_slots, -own_slots)

    def _pass_on(self) -> None:
        """Let the worker know what was said, while it was still booting too."""
        if self._worker and self._loop:
            self._worker.extra_slots, self._worker.draining = self._extra_slots, self._draining
            self._loop.poke()

    def _settings(self) -> WorkerSettings:
        return WorkerSettings(
            installation=installation.current().id,
            identity=identity.current(),
            who=self._who,
            poll_interval_seconds=self._options.poll_interval_seconds,
            concurrency=self._options.concurrency,
            keep=self._options.keep,
            crumbs=self._crumbs,
            reap=self._options.reap,
        )

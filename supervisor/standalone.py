"""`process_container_jobs`: the worker in one process, without a master, for one host or all."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID, uuid4

import structlog
from django.db import DatabaseError, InterfaceError
from setproctitle import setproctitle

from hosts import identity, installation, log_fields
from hosts.identity import boot_clock
from hosts.models import DockerHost
from hosts.thinning import SampleThinner
from jobs import claims, poison, reasons, start_deadline
from jobs.kept_containers import Keep
from jobs.models import Attempt
from supervisor import database, processes
from supervisor.deaths import blamed, words
from supervisor.exit_codes import INTERNAL
from supervisor.models import Role
from supervisor.signals import SignalInbox
from supervisor.turns import Turns
from supervisor.watchdog import Watchdog
from supervisor.worker.host import HostWorker
from supervisor.worker.inbox import Wake
from supervisor.worker.loop import WorkerLoop
from supervisor.worker.orphans import Reap
from supervisor.worker.settings import WorkerSettings

logger = structlog.get_logger(__name__)

_BEAT_EVERY_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StandaloneOptions:
    """What the command was given; `max_jobs` is how many jobs this process runs at once, over all hosts."""

    poll_interval_seconds: float
    max_jobs: int | None
    once: bool
    shutdown_timeout_seconds: float
    keep: Keep
    reap: Reap = field(default_factory=Reap)


class Standalone:
    """Runs the given hosts until TERM or INT, or until nothing is left to do (`once`)."""

    def __init__(self, hosts: Sequence[DockerHost], options: StandaloneOptions) -> None:
        database.use_own_options(plans_by_index=True)
        self._options = options
        self._id = uuid4()
        self._me = identity.current()
        self._wake = Wake()
        self._signals = SignalInbox(self._wake, (signal.SIGTERM, signal.SIGINT))
        Watchdog(is_stopping=lambda: self._signals.any_came)
        self._beat_clock = 0.0
        self._thinner = SampleThinner()
        self._heartbeat = processes.Heartbeat(self._id)
        self._settings = WorkerSettings(
            installation=installation.current().id,
            identity=self._me,
            who=f"process_container_jobs@{socket.gethostname()}:{os.getpid()}",
            poll_interval_seconds=options.poll_interval_seconds,
            keep=options.keep,
            reap=options.reap,
        )
        self._turns = Turns()
        self._workers = [self._worker(host) for host in hosts]
        self._loop = WorkerLoop(self._workers, self._wake, self, self._successor)
        self._claimed_before = 0

    def run(self) -> int:
        """Work; the number of jobs claimed."""
        setproctitle(f"tallyman: process_container_jobs ({len(self._workers)} hosts)")
        log_fields.begin(role=Role.STANDALONE.value, worker=self._settings.who)
        try:
            self._loop.run(until=self._is_done)
            if self._is_done():
                self._write_reasons()
        except Exception:
            self._count_death()
            raise
        finally:
            self._loop.detach(self._options.shutdown_timeout_seconds)
            if not self._loop.is_database_away:
                self._forget_row()
        return self._claimed_before + sum(worker.claimed_count for worker in self._workers)

    def tick(self) -> bool:
        """Beat, and see whether a signal says stop."""
        if self._signals.take():
            logger.info("stopping; containers run on")
            return False
        if boot_clock() >= self._beat_clock and not self._loop.is_database_away:
            self._beat_clock = boot_clock() + _BEAT_EVERY_SECONDS
            self._beat()
        return True

    def _successor(self, worker: HostWorker) -> HostWorker | None:
        """Who goes on with a host whose settings changed, or that was taken from us and may come back."""
        self._claimed_before += worker.claimed_count
        host = DockerHost.objects.active().defer("secret_config").filter(pk=worker.host.pk).first()
        if host is None or worker.is_parked or self._options.once:
            return None
        return self._worker(host)

    def _beat(self) -> None:
        held = sum(worker.held_slots for worker in self._workers)
        known = processes.Known(
            role=Role.STANDALONE, pid=self._me.pid, start_ticks=self._me.start_ticks, state=f"{held} running"
        )
        try:
            self._heartbeat.beat([known])
            start_deadline.expire()
        except (DatabaseError, InterfaceError) as exc:
            logger.debug("no heartbeat", reason=str(exc))
        if any(worker.lease for worker in self._workers):
            self._write_reasons()

    def _write_reasons(self) -> None:
        """Do what else a clerk does, where there is none."""
        try:
            if not processes.has_master():
                reasons.write()
                self._thinner.thin()
        except (DatabaseError, InterfaceError) as exc:
            logger.debug("no reasons", reason=str(exc))

    def _count_death(self) -> None:
        """An exception ends this process: count it against the attempt it came from, as a clerk would."""
        left = blamed(INTERNAL, self._settings.crumbs.left())
        if left is None:
            return
        try:
            host = Attempt.objects.values_list("host_name", flat=True).filter(pk=left.attempt_id).first()
            poison.note_kill(
                left.attempt_id, words(INTERNAL, host or "?", self._me.pid), who=self._settings.who
            )
        except (DatabaseError, InterfaceError) as exc:
            logger.warning("not counted", attempt_id=str(left.attempt_id), reason=str(exc))

    def _forget_row(self) -> None:
        try:
            processes.forget(self._id)
        except (DatabaseError, InterfaceError) as exc:
            logger.debug("row not removed", reason=str(exc))

    def _worker(self, host: DockerHost) -> HostWorker:
        return HostWorker(host, self._settings, self._wake, partial(self._spare_room, host.pk))

    def _spare_room(self, host_id: UUID) -> int | None:
        if self._options.max_jobs is None:
            return None
        spare = self._options.max_jobs - sum(worker.held_slots for worker in self._workers)
        return self._turns.room(
            host_id, spare, boot_clock(), wants=lambda: claims.anything_claimable(host_id)
        )

    def _is_done(self) -> bool:
        return self._options.once and all(worker.is_idle for worker in self._loop.workers)

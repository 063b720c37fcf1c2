"""What is asked of the system, and never of an engine: the database knows what its workers last saw.

Each check raises ServiceUnavailable or ServiceWarning with a sentence. They run on `healthcheck.probing`'s
thread, which owns its database connection: a check that hangs holds up no request.
"""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta
from typing import ClassVar

import psutil
from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone
from health_check.base import HealthCheck
from health_check.exceptions import ServiceUnavailable, ServiceWarning

from healthcheck import verdicts
from healthcheck.verdicts import Verdict
from hosts.models import HostState, Installation
from jobs import backlog, obstacles
from supervisor import processes
from supervisor.models import SupervisorProcess


class DatabaseCheck(HealthCheck):
    """A check that asks the database."""

    asks_database: ClassVar[bool] = True


@dataclasses.dataclass
class DatabaseAnswers(DatabaseCheck):
    """The database answers a query."""

    def run(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")


@dataclasses.dataclass
class MigrationsApplied(DatabaseCheck):
    """Every migration of this code is applied; asked until it is so, and remembered then."""

    _applied: ClassVar[bool] = False

    def run(self) -> None:
        if MigrationsApplied._applied:
            return
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            raise ServiceUnavailable("migrations are missing; run manage.py migrate")
        MigrationsApplied._applied = True


@dataclasses.dataclass
class SupervisorBeats(DatabaseCheck):
    """A supervisor, or `process_container_jobs`, has shown a sign of life within 15 seconds."""

    def run(self) -> None:
        if not processes.is_supervised():
            raise ServiceUnavailable("no supervisor is running; start manage.py supervise")


@dataclasses.dataclass
class HostsWork(DatabaseCheck):
    """Active hosts are held by a worker that renews its lease, and their engines answer it."""

    def run(self) -> None:
        active = [host for host in obstacles.hosts() if host.is_active and host.archived_at is None]
        found = [(host.name, obstacles.own_obstacle(host)) for host in active]
        degraded = [(host.name, host.state_reason) for host in active if host.state == HostState.DEGRADED]
        _raise(verdicts.of_hosts(found, degraded))


@dataclasses.dataclass
class WorkersStay(DatabaseCheck):
    """No worker crashes again and again."""

    def run(self) -> None:
        looping = SupervisorProcess.objects.alive().filter(is_crash_looping=True).order_by("host__name")
        _raise(verdicts.of_crash_loops(list(looping.values_list("host__name", "last_exit"))))


@dataclasses.dataclass
class NothingPaused(DatabaseCheck):
    """Nobody has paused all claims. Only ever a warning: somebody wants it so, and may forget it."""

    def run(self) -> None:
        paused = Installation.objects.exclude(paused_at=None).first()
        if paused:
            raise ServiceWarning(
                f"all claims are paused since {paused.paused_at:%Y-%m-%d %H:%M} UTC by {paused.paused_by}; "
                "manage.py supervisor resume --all ends that"
            )


@dataclasses.dataclass
class ClaimsFlow(DatabaseCheck):
    """No job waits for long that a host has room for."""

    def run(self) -> None:
        oldest = backlog.oldest_claimable_at(list(obstacles.hosts()))
        limit = timedelta(seconds=settings.TALLYMAN_HEALTH_CLAIM_LAG_SECONDS)
        _raise(verdicts.of_claims(_since(oldest), fail_after=limit))


@dataclasses.dataclass
class QueueMoves(DatabaseCheck):
    """No job waits for long for a host with room. Only ever a warning: more hosts may be all it needs."""

    def run(self) -> None:
        oldest = backlog.oldest_due_at(list(obstacles.hosts()))
        limit = timedelta(seconds=settings.TALLYMAN_HEALTH_QUEUE_AGE_SECONDS)
        _raise(verdicts.of_queue(_since(oldest), warn_after=limit))


@dataclasses.dataclass
class DiskHasRoom(HealthCheck):
    """The disk of this machine's var/ has room: SQLite and the process executor write there."""

    def run(self) -> None:
        disk = psutil.disk_usage(str(settings.VAR_DIR.parent))
        least = settings.TALLYMAN_HEALTH_DISK_FREE_PERCENT / 100
        _raise(verdicts.of_disk(disk.free, disk.total, warn_below=least, where="this web process"))


def _since(moment: datetime | None) -> timedelta | None:
    return timezone.now() - moment if moment else None


def _raise(verdict: Verdict) -> None:
    if verdict.failed:
        raise ServiceUnavailable(verdict.failed)
    if verdict.warned:
        raise ServiceWarning(verdict.warned)

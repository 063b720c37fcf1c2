"""The rows that say which processes of ours run, and what psutil reads of them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import psutil
from django.db.models import Count
from django.db.models.functions import Now

from hosts import fitting, identity
from jobs.models import Attempt
from supervisor.models import Role, SupervisorProcess

_FORGOTTEN_AFTER = timedelta(hours=1)


_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
_STATE_LENGTH = 50
_KEPT_UP_TO_DATE = (
    *("host", "state", "restarts", "heartbeat_at", "rss_bytes", "uss_bytes", "cpu_seconds", "open_files"),
    *("threads", "jobs_held", "last_exit", "last_exit_at", "failing_since_at", "is_crash_looping"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A process as its parent knows it; `start_ticks` proves that the pid is still its own.

    `exit_clock` and `failing_clock` are on the boot clock: when the one before it ended, and since when none
    of them has run for a minute.
    """

    role: Role
    pid: int
    start_ticks: int
    host_id: UUID | None = None
    state: str = ""
    restarts: int = 0
    last_exit: str = ""
    exit_clock: float | None = None
    failing_clock: float | None = None
    is_crash_looping: bool = False


def beat(supervisor: UUID, processes: Sequence[Known]) -> dict[int, int]:
    """Bring the rows of one supervisor up to date; rows of processes that are not named any more go.

    Returns the memory of each process that could be read, by its pid.
    """
    ours = SupervisorProcess.objects.filter(supervisor=supervisor)
    # By both: a pid may have come round to another child meanwhile, whose row begins anew.
    pids, ticks = [known.pid for known in processes], [known.start_ticks for known in processes]
    ours.exclude(pid__in=pids, start_ticks__in=ticks).delete()
    held = _held(processes)
    rows = {(known.role, known.pid): _row(supervisor, known, held) for known in reversed(processes)}
    SupervisorProcess.objects.bulk_create(
        reversed(rows.values()),
        update_conflicts=True,
        unique_fields=["supervisor", "role", "pid"],
        update_fields=_KEPT_UP_TO_DATE,
    )
    # Those that were killed could not take their rows away themselves.
    SupervisorProcess.objects.filter(heartbeat_at__lt=Now() - _FORGOTTEN_AFTER).delete()
    return {row.pid: row.rss_bytes for row in rows.values() if row.rss_bytes}


def _row(supervisor: UUID, known: Known, held: Mapping[tuple[int, int], int]) -> SupervisorProcess:
    here = identity.current()
    jobs = held.get((known.pid, known.start_ticks), 0) if known.host_id else None
    return SupervisorProcess(
        supervisor=supervisor,
        role=known.role,
        host_id=known.host_id,
        pid=known.pid,
        start_ticks=known.start_ticks,
        machine=here.machine,
        boot_id=here.boot_id,
        pid_namespace=here.pid_namespace,
        state=known.state[:_STATE_LENGTH],
        restarts=known.restarts,
        jobs_held=jobs,
        **fitting.fitted(SupervisorProcess, last_exit=known.last_exit),
        last_exit_at=_at(known.exit_clock),
        failing_since_at=_at(known.failing_clock),
        is_crash_looping=known.is_crash_looping,
        started_at=_at(known.start_ticks / _TICKS_A_SECOND),
        heartbeat_at=Now(),
        **_readings(known),
    )


def _at(clock: float | None) -> Any:
    """The database's time of a moment on the boot clock."""
    return None if clock is None else Now() - timedelta(seconds=max(0.0, identity.boot_clock() - clock))


def _held(processes: Sequence[Known]) -> dict[tuple[int, int], int]:
    """How many slots of its host each worker holds, by its pid and start."""
    hosts = [known.host_id for known in processes if known.host_id]
    if not hosts:
        return {}
    holding = Attempt.objects.open().holding_slots().filter(host_id__in=hosts).order_by()
    holders = holding.values_list("host__lease__pid", "host__lease__start_ticks")
    return {(pid, ticks): count for pid, ticks, count in holders.annotate(count=Count("pk"))}


def is_supervised() -> bool:
    """Whether a supervisor works with this database: its heartbeat is fresh, and it is not proved dead."""
    heads = SupervisorProcess.objects.alive().filter(role__in=[Role.MASTER, Role.STANDALONE])
    return any(not head.identity.is_proved_dead() for head in heads)


def has_master() -> bool:
    """Whether a master lives, and with it a clerk; proved dead or not: it may be another machine's."""
    return SupervisorProcess.objects.alive().filter(role=Role.MASTER).exists()


def is_eldest(supervisor: UUID) -> bool:
    """Whether no living supervisor has been there for longer; it does what one is enough for."""
    masters = SupervisorProcess.objects.alive().filter(role=Role.MASTER).order_by("started_at", "id")
    return masters.values_list("supervisor", flat=True).first() == supervisor


def forget(supervisor: UUID) -> None:
    """The supervisor ends in order: take its rows away."""
    SupervisorProcess.objects.filter(supervisor=supervisor).delete()


def _readings(known: Known) -> dict[str, Any]:
    try:
        process = psutil.Process(known.pid)
        with process.oneshot():
            memory, cpu = process.memory_full_info(), process.cpu_times()
            open_files, threads = process.num_fds(), process.num_threads()
    except psutil.Error:
        return {}
    # Asked last: a process that is still there has been there all along, so all that was read is its own.
    if identity.start_ticks(known.pid) != known.start_ticks:
        return {}
    return {
        "rss_bytes": memory.rss,
        "uss_bytes": memory.uss,
        "cpu_seconds": cpu.user + cpu.system,
        "open_files": open_files,
        "threads": threads,
    }

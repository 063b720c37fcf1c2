"""The rows that say which processes of ours run, and what psutil reads of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import psutil
from django.db.models.functions import Now

from hosts import identity
from supervisor.models import Role, SupervisorProcess

_FORGOTTEN_AFTER = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A process as its parent knows it; `start_ticks` proves that the pid is still its own."""

    role: Role
    pid: int
    start_ticks: int
    host_id: UUID | None = None
    state: str = ""
    restarts: int = 0


def beat(supervisor: UUID, processes: Sequence[Known]) -> None:
    """Bring the rows of one supervisor up to date; rows of processes that are not named any more go."""
    here = identity.current()
    rows = [
        SupervisorProcess(
            supervisor=supervisor,
            role=known.role,
            host_id=known.host_id,
            pid=known.pid,
            start_ticks=known.start_ticks,
            machine=here.machine,
            boot_id=here.boot_id,
            pid_namespace=here.pid_namespace,
            state=known.state[:50],
            restarts=known.restarts,
            heartbeat_at=Now(),
            **_readings(known),
        )
        for known in processes
    ]
    SupervisorProcess.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["supervisor", "role", "pid"],
        update_fields=["host", "state", "restarts", "rss_bytes", "uss_bytes", "cpu_seconds", "heartbeat_at"],
    )
    gone = SupervisorProcess.objects.filter(supervisor=supervisor)
    gone.exclude(pid__in=[known.pid for known in processes]).delete()
    # Those that were killed could not take their rows away themselves.
    SupervisorProcess.objects.filter(heartbeat_at__lt=Now() - _FORGOTTEN_AFTER).delete()


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
        if identity.start_ticks(known.pid) != known.start_ticks:
            return {}
        with process.oneshot():
            memory, cpu = process.memory_full_info(), process.cpu_times()
    except psutil.Error:
        return {}
    return {"rss_bytes": memory.rss, "uss_bytes": memory.uss, "cpu_seconds": cpu.user + cpu.system}

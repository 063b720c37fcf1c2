"""Which processes run on which machines, as their rows say: for the command and for the page."""

from __future__ import annotations

from datetime import datetime
from itertools import groupby
from typing import Any

from django.utils import timezone

from hosts.models import Installation
from supervisor.models import HEARTBEAT_STALE_AFTER, Down, Role, SupervisorProcess

Record = dict[str, Any]
_ORDER = (Role.MASTER, Role.STANDALONE, Role.CLERK, Role.WORKER)
_FIGURES = ("rss_bytes", "uss_bytes", "cpu_seconds", "open_files", "threads", "restarts", "jobs_held")
_COLUMNS = [field.name for field in SupervisorProcess._meta.concrete_fields]


def tree() -> Record:
    """The supervisors, by machine, each with its processes; and whether all claims are paused."""
    now = timezone.now()
    rows = SupervisorProcess.objects.select_related("host").only(*_COLUMNS, "host__name")
    ordered = sorted(rows, key=lambda row: (row.machine, str(row.supervisor), *_place(row)))
    supervisors = [
        {"machine": machine, "id": str(supervisor), "processes": [_record(row, now) for row in own]}
        for (machine, supervisor), own in groupby(ordered, key=lambda row: (row.machine, row.supervisor))
    ]
    pause = Installation.objects.exclude(paused_at=None).values("paused_at", "paused_by").first()
    return {"paused": pause, "supervisors": supervisors}


def _place(row: SupervisorProcess) -> tuple[int, str, int]:
    return _ORDER.index(Role(row.role)), row.host.name if row.host else "", row.pid


def _record(row: SupervisorProcess, now: datetime) -> Record:
    age = (now - row.heartbeat_at).total_seconds()
    return {
        "role": row.role,
        "host": row.host.name if row.host else None,
        "host_id": str(row.host_id) if row.host_id else None,
        "machine": row.machine.partition("/")[0],
        "pid": row.pid,
        "state": row.state,
        "is_stale": now - row.heartbeat_at >= HEARTBEAT_STALE_AFTER or row.is_dead_without_a_word(),
        "started_at": row.started_at,
        "heartbeat_at": row.heartbeat_at,
        "heartbeat_age_seconds": round(max(0.0, age), 1),
        **{name: getattr(row, name) for name in _FIGURES},
        "last_exit": row.last_exit or None,
        "last_exit_at": row.last_exit_at,
        "failing_since_at": row.failing_since_at,
        "is_crash_looping": row.is_crash_looping,
    }


def is_parked(one: Record) -> bool:
    """Whether it is not started again until somebody edits its host."""
    return bool(one["state"] == Down.PARKED)


def trouble(one: Record) -> str:
    """What is the matter with a process, as what follows its name; empty if nothing is."""
    if is_parked(one):
        return "is parked"
    if one["failing_since_at"]:
        return "crash-loops" if one["is_crash_looping"] else "failed"
    return ""


def troubled_since(one: Record) -> datetime | None:
    """Since when that is so."""
    since: datetime | None = one["failing_since_at"] or one["last_exit_at"]
    return since


def name(one: Record) -> str:
    """`worker[host-a]`, `clerk`."""
    return f"{one['role']}[{one['host']}]" if one["host"] else str(one["role"])

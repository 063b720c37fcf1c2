"""Which processes run on which machines, from their rows: for machines as JSON, for people as a tree."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import groupby
from typing import Any

from django.utils import timezone

from admin_ui import presenters
from admin_ui.cli.output import Output
from hosts.models import Installation
from supervisor.models import HEARTBEAT_STALE_AFTER, Down, Role, SupervisorProcess

Record = dict[str, Any]
_HEADER = ("PROCESS", "PID", "STATE", "BEAT", "RSS", "USS", "CPU", "FILES", "THREADS", "RESTARTS", "JOBS")
_ORDER = (Role.MASTER, Role.STANDALONE, Role.CLERK, Role.WORKER)
_FIGURES = ("rss_bytes", "uss_bytes", "cpu_seconds", "open_files", "threads", "restarts", "jobs_held")


def tree() -> Record:
    """The supervisors, by machine, each with its processes; and whether all claims are paused."""
    now = timezone.now()
    rows = SupervisorProcess.objects.select_related("host").defer("host__secret_config")
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


def show(found: Record, out: Output) -> None:
    """Print the tree, and below it what is the matter."""
    if found["paused"]:
        at, by = presenters.moment(found["paused"]["paused_at"]), found["paused"]["paused_by"]
        out.line(
            f"All claims are paused since {at} by {by}; end that with: manage.py supervisor resume --all"
        )
    if not found["supervisors"]:
        out.remark("No supervisor is running; start one with manage.py supervise")
        return
    rows = [row for supervisor in found["supervisors"] for row in _rows(supervisor)]
    out.table(_HEADER, rows)
    processes = [one for supervisor in found["supervisors"] for one in supervisor["processes"]]
    for text in _troubles(processes):
        out.line(text)


def _rows(supervisor: Record) -> Iterable[tuple[str, ...]]:
    yield (supervisor["machine"].partition("/")[0], *[""] * (len(_HEADER) - 1))
    for one in supervisor["processes"]:
        indent = "  " if one["role"] in {Role.MASTER, Role.STANDALONE} else "    "
        cpu = one["cpu_seconds"]
        yield (
            f"{indent}{_name(one)}",
            str(one["pid"]),
            f"{one['state']}{', stale' if one['is_stale'] else ''}",
            presenters.duration(one["heartbeat_age_seconds"]),
            presenters.size(one["rss_bytes"]),
            presenters.size(one["uss_bytes"]),
            "" if cpu is None else presenters.duration(cpu),
            *(_number(one[name]) for name in ("open_files", "threads", "restarts", "jobs_held")),
        )


def _name(one: Record) -> str:
    return f"{one['role']}[{one['host']}]" if one["host"] else str(one["role"])


def _number(value: int | None) -> str:
    return "" if value is None else str(value)


def _troubles(processes: Iterable[Record]) -> Iterable[str]:
    for one in processes:
        since = presenters.moment(one["failing_since_at"] or one["last_exit_at"])
        if one["state"] == Down.PARKED:
            yield f"{_name(one)} is parked since {since}: {one['last_exit']}"
        elif one["failing_since_at"]:
            how = "crash-loops" if one["is_crash_looping"] else "failed"
            yield f"{_name(one)} {how} since {since}: {one['last_exit']}"

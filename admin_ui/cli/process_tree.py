"""The tree of processes (`admin_ui.processes`), printed for people."""

from __future__ import annotations

from collections.abc import Iterable

from admin_ui import presenters
from admin_ui.cli.output import Output
from admin_ui.processes import Record, name, trouble, troubled_since
from supervisor.models import Role

_HEADER = ("PROCESS", "PID", "STATE", "BEAT", "RSS", "USS", "CPU", "FILES", "THREADS", "RESTARTS", "JOBS")


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
            f"{indent}{name(one)}",
            str(one["pid"]),
            f"{one['state']}{', stale' if one['is_stale'] else ''}",
            presenters.duration(one["heartbeat_age_seconds"]),
            presenters.size(one["rss_bytes"]),
            presenters.size(one["uss_bytes"]),
            "" if cpu is None else presenters.duration(cpu),
            *(_number(one[figure]) for figure in ("open_files", "threads", "restarts", "jobs_held")),
        )


def _number(value: int | None) -> str:
    return "" if value is None else str(value)


def _troubles(processes: Iterable[Record]) -> Iterable[str]:
    for one in processes:
        if what := trouble(one):
            yield f"{name(one)} {what} since {presenters.moment(troubled_since(one))}: {one['last_exit']}"

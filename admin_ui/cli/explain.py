"""`manage_container_job explain`: each host, and why it takes a job or not; and the concurrency limits."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from admin_ui import presenters, recording
from admin_ui.cli import lookup
from admin_ui.cli.command import Options
from admin_ui.cli.exits import Exit
from admin_ui.cli.output import Output
from hosts import wakeups
from jobs import limits
from jobs.explain import Explanation, explain
from jobs.models import ConcurrencyLimit

_HEADER = ("HOST", "WEIGHT", "FREE", "TAKES IT", "WHY NOT")
_LIMITS_HEADER = ("KEY", "RUNNING", "AT MOST", "NOTE")


def explain_job(options: Options, out: Output) -> Exit:
    """One job: what becomes of it, and what each host says."""
    found = explain(lookup.job(options.id))
    if options.json:
        out.json({**asdict(found), "job": str(found.job)})
        return Exit.OK
    out.fields(
        [
            ("Job", str(found.job)),
            ("Status", found.status),
            ("Verdict", found.verdict),
            *_needs(found.needs),
            *(("Limit", _limit(one)) for one in found.limits),
        ]
    )
    out.line()
    _hosts(found, out)
    return Exit.OK


def _hosts(found: Explanation, out: Output) -> None:
    if not found.hosts:
        out.remark("No hosts. Add one: manage.py manage_docker_host add NAME --url URL")
        return
    rows = [
        (
            one.host,
            str(one.weight),
            str(one.free_slots),
            "first" if one.is_first else "no" if one.why_not else "yes",
            one.why_not,
        )
        for one in found.hosts
    ]
    out.table(_HEADER, rows)


def _needs(needs: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        ("Image", needs["image"]),
        ("Executor", needs["executor"] or ""),
        ("Needs labels", _labels(needs["required_labels"])),
        ("Prefers labels", _labels(needs["preferred_labels"])),
        ("Memory", presenters.size(needs["memory_bytes"])),
        ("CPUs", f"{needs['cpus']:g}" if needs["cpus"] else ""),
    ]


def _labels(labels: Any) -> str:
    if not isinstance(labels, dict):
        return str(labels)
    return ", ".join(
        f"{name}={'|'.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in labels.items()
    )


def _limit(one: dict[str, Any]) -> str:
    return f"{one['limit']}: {one['running']} of {one['max_concurrent']} at once"


def list_limits(options: Options, out: Output) -> Exit:
    """The concurrency limits of keys, and how many jobs each has running."""
    running = limits.running()
    found = [
        {
            "key": one.key,
            "running": running[limits.of_key(one.key)],
            "max_concurrent": one.max_concurrent,
            "note": one.note,
        }
        for one in ConcurrencyLimit.objects.all()
    ]
    if options.json:
        out.json(found)
    elif found:
        out.table(_LIMITS_HEADER, [tuple(map(str, one.values())) for one in found])
    else:
        out.remark("No limits. Set one: manage.py manage_container_job limit KEY --max N")
    return Exit.OK


def set_limit(options: Options, out: Output) -> Exit:
    """Set or take away the limit of a key; jobs that run go on."""
    limit = ConcurrencyLimit.objects.filter(key=options.key).first()
    if options.max is None:
        if limit:
            with recording.deleted(limit):
                limit.delete()
        out.line(f"{options.key} has no limit{' any more' if limit else ''}.")
    else:
        limit = limit or ConcurrencyLimit(key=options.key)
        with recording.saved(limit):
            limit.max_concurrent = options.max
            limit.full_clean()
            limit.save()
        out.line(f"At most {options.max} jobs of {options.key} run at once.")
    wakeups.notify(None)
    return Exit.OK

"""What bounds a job, and what is to be said of an attempt, in a few words for people. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from admin_ui import presenters

Lines = list[tuple[str, str]]


def lines(limits: Mapping[str, Any]) -> Lines:
    """(name, text) pairs of `jobs.spec.limits`; the text is empty where there is no limit."""
    memory, cpus = limits["memory_limit"], limits["cpu_limit"]
    start = limits["start_deadline_seconds"]
    return [
        ("Memory limit", f"{memory} MB" if memory else ""),
        ("CPU limit", f"{cpus:g} cores" if cpus else ""),
        ("Start deadline", presenters.duration(start) if start else ""),
        ("Timeout", presenters.duration(limits["timeout_seconds"])),
        ("Log limit", presenters.size(limits["max_log_bytes"])),
        ("Stopping", f"{limits['stop_signal']}, KILL after {limits['stop_grace_seconds']} s"),
        ("Image pull", limits["pull_policy"]),
        ("Terminal", "yes" if limits["tty"] else ""),
        ("Attempts", _attempts(limits)),
        ("If not started", f"{limits['infra_retries']} more attempts"),
    ]


def _attempts(limits: Mapping[str, Any]) -> str:
    most, retry_on = limits["max_attempts"], limits["retry_on"]
    if most <= 1 or not retry_on:
        return "1"
    first, longest = limits["retry_delay_seconds"], limits["retry_max_delay_seconds"]
    return f"up to {most}, after {', '.join(retry_on)}; waits of {first} s, doubled up to {longest} s"


def note(*, phase: str, worker_kills: int, failure: str, logs_note: str = "") -> str:
    """What stands out of an attempt: what it is doing, whom it killed, why it failed."""
    killed = f"killed {worker_kills} {'worker' if worker_kills == 1 else 'workers'}" if worker_kills else ""
    return "; ".join(filter(None, (phase, killed, failure.rstrip("."), logs_note.rstrip("."))))

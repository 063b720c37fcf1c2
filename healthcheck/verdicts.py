"""What makes the system healthy: decisions over figures that somebody else has read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from jobs.obstacles import Obstacle

_MOST_NAMES = 5
_BROKEN = {
    Obstacle.NO_WORKER: "no worker holds it",
    Obstacle.PARKED: "its settings need an edit",
    Obstacle.UNREACHABLE: "its engine does not answer",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """How bad it is, and why; nothing to say when all is well."""

    failed: str = ""
    warned: str = ""


def of_hosts(
    obstacles: Sequence[tuple[str, Obstacle | None]], degraded: Sequence[tuple[str, str]] = ()
) -> Verdict:
    """Of the active hosts, by name: all out of order is a failure, some are a warning.

    A host that is full, cordoned or draining is in order: that is what somebody wants of it. `degraded` are
    those that work in bad condition, with the reason.
    """
    if not obstacles:
        return Verdict(warned="no host is active; add one with manage_docker_host add")
    broken = [f"{name}: {_BROKEN[what]}" for name, what in obstacles if what in _BROKEN]
    told = "; ".join(broken[:_MOST_NAMES]) + ("; ..." if len(broken) > _MOST_NAMES else "")
    if len(broken) == len(obstacles):
        return Verdict(failed=f"no active host can run jobs ({told})")
    warnings = [told and f"{len(broken)} of {len(obstacles)} active hosts cannot run jobs ({told})"]
    warnings += [f"{name} is degraded: {reason}" for name, reason in degraded[:_MOST_NAMES]]
    return Verdict(warned="; ".join(filter(None, warnings)))


def of_crash_loops(looping: Sequence[tuple[str | None, str]]) -> Verdict:
    """Of the workers that crash again and again: their host, and how each last ended."""
    told = "; ".join(f"{host or 'the clerk'}: {words}" for host, words in looping[:_MOST_NAMES])
    return Verdict(warned=told and f"processes that crash again and again: {told}")


def of_claims(waited: timedelta | None, *, fail_after: timedelta) -> Verdict:
    """Of the longest wait of a job that a host has room for; None when there is none."""
    waited = waited or timedelta()
    text = f"a job waits for {_seconds(waited)} although a host has room for it"
    if waited >= fail_after:
        return Verdict(failed=text)
    return Verdict(warned=text if waited >= fail_after / 4 else "")


def of_queue(waited: timedelta | None, *, warn_after: timedelta) -> Verdict:
    """Of the longest wait of a job that waits for nothing but a host."""
    if waited is None or waited < warn_after:
        return Verdict()
    return Verdict(warned=f"a job waits for {_seconds(waited)} for a host with room")


def of_disk(free: int, total: int, *, warn_below: float, where: str) -> Verdict:
    """Of a disk's free and whole size in bytes; it fails at a fifth of the part at which it warns."""
    part = free / total if total else 1.0
    text = f"{part:.1%} of the disk of {where} is free"
    if part < warn_below / 5:
        return Verdict(failed=text)
    return Verdict(warned=text if part < warn_below else "")


def _seconds(span: timedelta) -> str:
    return f"{span.total_seconds():.0f} s"

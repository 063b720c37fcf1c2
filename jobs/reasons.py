"""Why each pending job waits, written in few statements and only where it changed.

By a clerk, or where there is none by whoever works. A job that is about to be taken has no reason: nobody
is told that it waits for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db.models import F, Max, Q, QuerySet
from django.db.models.functions import Now

from hosts.models import DockerHost, HostState
from jobs import kind_reasons, kinds, obstacles, spec
from jobs.blockers import Blockers
from jobs.models import Attempt, ContainerJob
from jobs.models.job import Hold
from jobs.obstacles import Obstacle, obstacle
from jobs.states import Outcome

_MAX_LENGTH = ContainerJob._meta.get_field("pending_reason").max_length
# A worker that can take a job does so within its poll interval and the time that it stands back.
_TAKEN_WITHIN = timedelta(seconds=10)
# Of many thousand jobs not all get a new reason at once: they are not to be locked for long.
_MOST_AT_ONCE = 1000
_MOST_BACKOFFS = 200
_BACKOFF_WORDS = ("Attempt ", "Start is tried again ", "Starts at ")
_LIMITED = "its worker has not taken it yet: a limit of its own (--concurrency, --max-jobs) may be reached"
_NOT_TAKEN = f"There is room, but {_LIMITED}"


class ClaimWatch:
    """Which hosts have taken jobs since the last look: what waits for them has no other reason for long."""

    def __init__(self) -> None:
        self._newest: dict[UUID, datetime] = {}

    def busy(self) -> set[UUID]:
        """Hosts whose newest claim is another one than at the last look."""
        open_ones = Attempt.objects.open().order_by().values_list("host_id")
        newest = dict(open_ones.annotate(newest=Max("claimed_at")))
        before, self._newest = self._newest, newest
        return {host_id for host_id, at in newest.items() if at != before.get(host_id)}


def write(watch: ClaimWatch | None = None) -> int:
    """Bring `pending_reason` up to date; how many jobs got another one.

    With `watch`, what waits for a host that is busy taking jobs gets a reason once, after a while: it would
    be another one at each look, for every job of a long queue.
    """
    if not ContainerJob.objects.pending().exists():
        return 0
    changed = 0
    pending = ContainerJob.objects.pending()
    for hold in (Hold.STOPPED, Hold.RESTART):
        changed += _set(pending.filter(hold=hold), str(hold.label))
    free = pending.filter(hold="")
    later = Q(not_before_at__gt=Now())
    changed += _write_backoffs(free.filter(later))
    due = free.exclude(later)
    hosts = list(obstacles.hosts())
    if paused := pause_reason(hosts):
        return changed + _set(due, paused)
    busy = watch.busy() if watch else set()
    if kinds.any_particular(hosts):
        return changed + _write_by_kind(hosts, busy)
    for host in hosts:
        reason = host_reason(host)
        changed += _set_waiting(
            due.filter(docker_host_id=host.pk),
            reason and f"Host {host.name} {reason}",
            calm=host.pk not in busy,
        )
    return changed + _set_waiting(due.filter(docker_host=None), shared_reason(hosts), calm=not busy)


def _write_by_kind(hosts: list[DockerHost], busy: set[UUID]) -> int:
    """The same where jobs differ in where they may run, or how many of them at once."""
    blockers = Blockers(hosts, host_reason)
    calm, hurried = list[kind_reasons.Said](), list[kind_reasons.Said]()
    known = {host.pk for host in hosts}
    for kind in kinds.pending_anywhere():
        pinned_to, blocker = kind.needs.pinned_to, blockers.of(kind)
        if pinned_to and pinned_to not in known:
            continue  # its host came in between
        is_busy = pinned_to in busy if pinned_to else bool(busy)
        said = kind, blocker.text[:_MAX_LENGTH] if blocker else ""
        (hurried if is_busy else calm).append(said)
    write = partial(
        kind_reasons.write,
        otherwise=_NOT_TAKEN[:_MAX_LENGTH],
        within=_TAKEN_WITHIN.total_seconds(),
        most=_MOST_AT_ONCE,
    )
    return write(calm, calm=True) + write(hurried, calm=False)


def host_reason(host: DockerHost) -> str:
    """Why a host of `obstacles.hosts` takes nothing now; empty if it does."""
    what = obstacle(host)
    if what is None:
        return ""
    held: int = host.held  # type: ignore[attr-defined]  # annotated
    return {
        Obstacle.PAUSED: "is paused with all the others",
        Obstacle.SWITCHED_OFF: "is switched off",
        Obstacle.CORDONED: f"is {host.availability}",
        Obstacle.PARKED: f"is parked: {host.state_reason}",
        Obstacle.NO_WORKER: "is held by no worker; is a supervisor running for it?",
        Obstacle.UNREACHABLE: _not_online(host),
        Obstacle.FULL: f"is full ({held} of {host.max_concurrent_jobs} slots)",
    }[what]


def _not_online(host: DockerHost) -> str:
    if host.state == HostState.UNKNOWN:
        return "has not been seen yet"
    since = f" since {clock(host.state_since_at)}" if host.state_since_at else ""
    return f"is {host.state}{since}: {host.state_reason.removeprefix(f'{host.name}: ')}"


def pause_reason(hosts: list[DockerHost]) -> str:
    """Why no host takes anything; empty unless all claims are paused."""
    paused = next((host for host in hosts if obstacle(host) is Obstacle.PAUSED), None)
    if paused is None:
        return ""
    since, by = paused.paused_at, paused.paused_by  # type: ignore[attr-defined]  # annotated
    return f"All claims are paused since {clock(since)} by {by}; manage.py supervisor resume --all ends that"


def shared_reason(hosts: list[DockerHost]) -> str:
    """Why a job that any host may take is not taken; empty if one can take it."""
    hosts = [host for host in hosts if not host.archived_at]
    if not hosts:
        return "There is no host; add one with manage_docker_host add"
    reasons = {host.name: host_reason(host) for host in hosts}
    if not all(reasons.values()):
        return ""
    return f"No host takes it: {'; '.join(f'{name} {reason}' for name, reason in reasons.items())}"


def clock(moment: datetime) -> str:
    """A moment for people; the day is told unless the moment is near enough to be understood without."""
    near = abs(moment - datetime.now(moment.tzinfo)) < timedelta(hours=12)
    return moment.strftime("%H:%M:%S UTC" if near else "%Y-%m-%d %H:%M:%S UTC")


def _set_waiting(jobs: QuerySet[ContainerJob], reason: str, *, calm: bool) -> int:
    """Say why due jobs wait. Without a reason, only those have one that should have been taken by now."""
    if not calm:
        unsaid = jobs.filter(pending_reason="", created_at__lte=Now() - _TAKEN_WITHIN)
        return _set(unsaid, reason) if reason else 0
    if reason:
        return _set(jobs, reason)
    fresh = Q(created_at__gt=Now() - _TAKEN_WITHIN) | Q(not_before_at__gt=Now() - _TAKEN_WITHIN)
    return _set(jobs.filter(fresh), "") + _set(
        jobs.exclude(created_at__gt=Now() - _TAKEN_WITHIN).filter(
            Q(not_before_at=None) | Q(not_before_at__lte=Now() - _TAKEN_WITHIN)
        ),
        _NOT_TAKEN,
    )


def _set(jobs: QuerySet[ContainerJob], reason: str) -> int:
    text = reason[:_MAX_LENGTH]
    first = jobs.exclude(pending_reason=text).order_by().values("pk")[:_MOST_AT_ONCE]
    return ContainerJob.objects.pending().filter(pk__in=first).update(pending_reason=text)


# ── waiting for a moment ──────────────────────────────────────────────────────────────────────────────────


def _write_backoffs(jobs: QuerySet[ContainerJob]) -> int:
    """Say until when jobs wait. The moment never changes, so each is written once."""
    for words in _BACKOFF_WORDS:
        jobs = jobs.exclude(pending_reason__startswith=words)
    columns = ("pk", "not_before_at", "attempt_count", "infra_failure_count", "exit_code")
    rows = list(
        jobs.order_by("not_before_at").values(*columns, "failure_class", "failure_message")[:_MOST_BACKOFFS]
    )
    last = Attempt.objects.filter(job_id__in=[row["pk"] for row in rows], number=F("job__attempt_count"))
    frozen = ("spec__max_attempts", "spec__infra_retries")
    attempts = {row["job_id"]: row for row in last.values("job_id", "outcome", *frozen)}
    changed = 0
    for row in rows:
        waiting = ContainerJob.objects.pending().filter(pk=row["pk"], not_before_at__gt=Now())
        changed += waiting.update(pending_reason=backoff_reason(row, attempts.get(row["pk"]))[:_MAX_LENGTH])
    return changed


def backoff_reason(job: Mapping[str, Any], attempt: Mapping[str, Any] | None) -> str:
    """Until when a job waits, which attempt of how many then follows, and after what."""
    at = clock(job["not_before_at"])
    if attempt is None:
        return f"Starts at {at}"
    known = {name: attempt[f"spec__{name}"] for name in ("max_attempts", "infra_retries")}
    limits = spec.complete({name: value for name, value in known.items() if value is not None})
    infra = job["infra_failure_count"]
    if attempt["outcome"] == Outcome.INFRA:
        tries = f"{infra} of {limits['infra_retries']}"
        return f"Start is tried again at {at} ({tries}): {job['failure_message']}"
    following = f"Attempt {job['attempt_count'] - infra + 1} of {limits['max_attempts']} at {at}"
    if job["failure_class"] == "exit_code":
        return f"{following}, after exit code {job['exit_code']}"
    return f"{following}, after: {job['failure_message']}"

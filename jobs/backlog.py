"""How many jobs wait, for what, and for how long: the figures of health and metrics, in few queries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db.models import Case, CharField, Count, F, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce, Greatest, Now

from hosts.models import DockerHost
from jobs.models import Attempt, ContainerJob
from jobs.models.job import Hold
from jobs.obstacles import Obstacle, obstacle
from jobs.states import JobStatus

READY = "ready"
NO_HOST = "no_host"
_LATER = Q(not_before_at__gt=Now())
_OBSTACLES = list(Obstacle)


def depths(hosts: Sequence[DockerHost]) -> dict[str, int]:
    """How many pending jobs wait for each reason; `hosts` are those of `obstacles.hosts`.

    Reasons are held, restart, backoff, scheduled, an `Obstacle`, no_host, or ready: a host could take it.
    """
    waits_itself = Case(
        When(hold=Hold.STOPPED, then=Value("held")),
        When(hold=Hold.RESTART, then=Value("restart")),
        When(_LATER & Q(attempt_count__gt=0), then=Value("backoff")),
        When(_LATER, then=Value("scheduled")),
        default=Value(""),
        output_field=CharField(),
    )
    groups = ContainerJob.objects.pending().order_by().values_list("docker_host_id", waits_itself)
    by_host = {host.pk: obstacle(host) or READY for host in hosts}
    found: Counter[str] = Counter()
    for host_id, reason, count in groups.annotate(count=Count("pk")):
        found[reason or (by_host.get(host_id, NO_HOST) if host_id else _shared(hosts))] += count
    return dict(found)


def _shared(hosts: Sequence[DockerHost]) -> str:
    """Why jobs for any host wait: what the host that is nearest to taking one has against it."""
    candidates = [obstacle(host) for host in hosts if not host.archived_at]
    if not candidates:
        return NO_HOST
    if None in candidates:
        return READY
    return max(filter(None, candidates), key=_OBSTACLES.index)


def open_jobs() -> dict[tuple[str, str], int]:
    """How many jobs with an open attempt there are, by (status, name of the host)."""
    groups = Attempt.objects.open().order_by().values_list("job__status", "host_name")
    return {(status, host): count for status, host, count in groups.annotate(count=Count("pk"))}


def oldest_due_at(hosts: Sequence[DockerHost]) -> datetime | None:
    """Since when the job waits that has waited longest for nothing but a host; None if none does."""
    return _oldest({host.pk for host in hosts}, shared=True)


def oldest_claimable_at(hosts: Sequence[DockerHost]) -> datetime | None:
    """The same, of the jobs that a host could take now: they should wait for moments only."""
    ready = {host.pk for host in hosts if obstacle(host) is None}
    return _oldest(ready, shared=bool(ready))


def _oldest(pinned_to: set[UUID], *, shared: bool) -> datetime | None:
    """One look into the index for each host: a minimum over all of them would read every pending job."""
    ours = DockerHost.objects.filter(pk__in=pinned_to)
    firsts = ours.annotate(first=_first(docker_host=OuterRef("pk"))).exclude(first=None)
    found = list(firsts.order_by("first").values_list("first", flat=True)[:1])
    if shared:
        found += _due(docker_host=None).values_list(_since(), flat=True)[:1]
    return min(found, default=None)


def _first(**where: object) -> Subquery:
    return Subquery(_due(**where).values(since=_since())[:1])


def _due(**where: object) -> QuerySet[ContainerJob]:
    due = ContainerJob.objects.filter(status=JobStatus.PENDING, hold="", **where)
    return due.exclude(_LATER).order_by("created_at")


def _since() -> Greatest:
    return Greatest("created_at", Coalesce(F("not_before_at"), F("created_at")))

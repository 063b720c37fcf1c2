"""How many jobs wait, for what, and for how long: the figures of health and metrics, in few queries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Case, CharField, Count, Q, Value, When
from django.db.models.functions import Now

from hosts.models import DockerHost
from jobs import batches, kinds
from jobs.blockers import Blocker, Blockers, Lack
from jobs.kinds import Kind
from jobs.models import Attempt, ContainerJob
from jobs.models.job import Hold
from jobs.obstacles import Obstacle, obstacle
from jobs.states import AttemptState, JobStatus, status_while

READY = "ready"
NO_HOST = str(Lack.NO_HOST)


class Wait(StrEnum):
    """What a job waits for by itself, whatever the hosts could do."""

    HELD = "held"
    RESTART = "restart"
    BACKOFF = "backoff"
    SCHEDULED = "scheduled"


_LATER = Q(not_before_at__gt=Now())
_OBSTACLES = list(Obstacle)


def depths(hosts: Sequence[DockerHost]) -> dict[str, int]:
    """How many pending jobs wait for each reason; `hosts` are those of `obstacles.hosts`.

    Reasons are a `Wait`, an `Obstacle`, a `Lack`, or ready: a host could take it.
    """
    waits_itself = Case(
        When(hold=Hold.STOPPED, then=Value(Wait.HELD)),
        When(hold=Hold.RESTART, then=Value(Wait.RESTART)),
        When(_LATER & Q(attempt_count__gt=0), then=Value(Wait.BACKOFF)),
        When(_LATER, then=Value(Wait.SCHEDULED)),
        default=Value(""),
        output_field=CharField(),
    )
    if kinds.any_particular(hosts):
        return _by_kind(hosts, waits_itself)
    groups = ContainerJob.objects.pending().order_by().values_list("docker_host_id", waits_itself)
    by_host = {host.pk: obstacle(host) or READY for host in hosts}
    found: Counter[str] = Counter()
    for host_id, reason, count in groups.annotate(count=Count("pk")):
        found[reason or (by_host.get(host_id, NO_HOST) if host_id else _shared(hosts))] += count
    return dict(found)


def _by_kind(hosts: Sequence[DockerHost], waits_itself: Case) -> dict[str, int]:
    """The same where jobs differ in where they may run, or how many of them at once."""
    words = {_columns(kind): blocker.word if blocker else READY for kind, blocker in _blockers(hosts)}
    columns = ("docker_host_id", "template_id", "override_image", "limit_key")
    groups = ContainerJob.objects.pending().order_by().values_list(*columns, waits_itself)
    found: Counter[str] = Counter()
    for *kind, reason, count in groups.annotate(count=Count("pk")):
        found[reason or words.get(tuple(kind), READY)] += count  # one that came in between
    return dict(found)


def _blockers(hosts: Sequence[DockerHost]) -> Iterator[tuple[Kind, Blocker | None]]:
    """Each kind of the jobs that are pending, and what keeps it from being taken."""
    blockers = Blockers(hosts, lambda host: obstacle(host) or "")
    for kind in kinds.pending_anywhere():
        yield kind, blockers.of(kind)


def _columns(kind: Kind) -> tuple[Any, ...]:
    template_id = UUID(kind.template_key) if isinstance(kind.template_key, str) else kind.template_key
    return kind.needs.pinned_to, template_id, kind.override_image, kind.limit_key


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
    groups = Attempt.objects.open().order_by().values_list("state", "host_name")
    found: Counter[tuple[str, str]] = Counter()
    for state, host, count in groups.annotate(count=Count("pk")):
        found[status_while(AttemptState(state)).value, host] += count
    return dict(found)


def oldest_due_at(hosts: Sequence[DockerHost]) -> datetime | None:
    """Since when the job waits that has waited longest for nothing but a host; None if none does."""
    return _oldest({host.pk for host in hosts}, shared=True)


def oldest_claimable_at(hosts: Sequence[DockerHost]) -> datetime | None:
    """The same, of the jobs that a host could take now: they should wait for moments only."""
    if kinds.any_particular(hosts):
        ready_kinds = [kind for kind, blocker in _blockers(hosts) if blocker is None]
        return min((moment for kind in ready_kinds for moment in _oldest_of(kind)), default=None)
    ready = {host.pk for host in hosts if obstacle(host) is None}
    return _oldest(ready, shared=bool(ready))


def _oldest_of(kind: Kind) -> list[datetime]:
    host = "IS NULL" if kind.host_key is None else "= %s"
    of_kind = "AND j.template_id = %s AND j.override_image = %s AND j.limit_key = %s"
    params = [kind.template_key, kind.override_image, kind.limit_key]
    sql = f"SELECT ({_first(host, of_kind, index='job_claimable_kind_oldest')})"
    return _moments(sql, params if kind.host_key is None else [kind.host_key, *params])


def _oldest(pinned_to: set[UUID], *, shared: bool) -> datetime | None:
    """One look into the index for each host: a minimum over all of them would read every pending job."""
    found = []
    if pinned_to:
        keys = [DockerHost._meta.pk.get_db_prep_value(key, connection) for key in pinned_to]
        marks = ", ".join(["%s"] * len(keys))
        found += _moments(
            f"SELECT ({_first('= h.id')}) FROM hosts_dockerhost h WHERE h.id IN ({marks})", keys
        )
    if shared:
        found += _moments(f"SELECT ({_first('IS NULL')})", [])
    return min(found, default=None)


def _first(host: str, more: str = "", *, index: str = "job_claimable_oldest") -> str:
    # Left to itself, SQLite goes by an index of all pending jobs, in order, for the sake of the order.
    indexed = f"INDEXED BY {index}" if connection.vendor == "sqlite" else ""
    return (
        "SELECT CASE WHEN j.not_before_at > j.created_at THEN j.not_before_at ELSE j.created_at END "
        f"FROM jobs_containerjob j {indexed} "
        f"WHERE j.status = '{JobStatus.PENDING}' AND j.hold = '' AND j.docker_host_id {host} {more} "
        f"AND (j.not_before_at IS NULL OR j.not_before_at <= {batches.now()}) ORDER BY j.created_at LIMIT 1"
    )


def _moments(sql: str, params: list[Any]) -> list[datetime]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        read = [value for (value,) in cursor.fetchall() if value is not None]
    return [value if isinstance(value, datetime) else _parse(value) for value in read]


def _parse(text: str) -> datetime:
    """What SQLite keeps for a moment."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)

"""Taking hosts and jobs: the only places that lock rows of jobs.

Taking a host raises its epoch and restamps every open attempt on it in one transaction, so a former holder's
writes change no row from then on. Taking jobs locks the lease first: a takeover waits for the claim, or the
claim finds the lease gone. (A claim that only tested whether the lease exists let a stale attempt through.)
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection, models, transaction
from django.db.models.functions import Now

from hosts import leases
from hosts.identity import ProcessIdentity
from hosts.leases import Lease
from hosts.models import DockerHost
from jobs import batches, spec
from jobs.freezing import frozen_specs
from jobs.models import Attempt, ContainerJob, JobEvent
from jobs.states import AttemptState, JobStatus

STAND_BACK_SECONDS = 2.0

# A row that was made pending again by plain SQL runs once more, and never beside itself.
_ATTEMPTS = "FROM jobs_attempt AS a WHERE a.job_id = jobs_containerjob.id"
_NOTHING_OPEN = f"NOT EXISTS (SELECT 1 {_ATTEMPTS} AND a.state <> '{AttemptState.ENDED}')"
_LAST_NUMBER = f"COALESCE((SELECT MAX(a.number) {_ATTEMPTS}), 0)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How many jobs to take, and which: `oldest_first` passes over priority, so that none starves."""

    room: int
    stand_back: bool = False
    oldest_first: bool = False


def take_host(host_id: UUID, *, who: ProcessIdentity, even_expired: bool = True) -> Lease | None:
    """Take the host's lease and every open attempt with it; None if somebody else holds the host."""
    with transaction.atomic():
        lease = leases.take(host_id, who=who, even_expired=even_expired)
        if lease is not None:
            Attempt.objects.filter(host_id=host_id).open().update(epoch=lease.epoch)
    return lease


def claim(lease: Lease, host: DockerHost, wanted: Wanted, *, installation: UUID, who: str) -> list[Attempt]:
    """Claim up to `wanted.room` jobs, those pinned to the host first; their attempts, oldest claim first.

    Raises LeaseLost, with nothing claimed, if the lease is not ours any more.
    """
    if wanted.room <= 0 or not anything_claimable(host.id):
        return []
    with transaction.atomic():
        leases.lock_current(lease)
        _write_ids_as_django_does()
        claimed = _pick(host.id, wanted.room, wanted, pinned=True)
        if len(claimed) < wanted.room:
            claimed += _pick(host.id, wanted.room - len(claimed), wanted, pinned=False)
        if not claimed:
            return []
        return _open_attempts(claimed, lease, host, installation=installation, who=who)


def anything_claimable(host_id: UUID) -> bool:
    """Whether a claim could find anything: a look at the partial index, with no lock taken."""
    due = ContainerJob.objects.pending().filter(hold="")
    return due.filter(docker_host_id=host_id).exists() or due.filter(docker_host=None).exists()


def anything_shared() -> bool:
    """Whether a job is due that any host may take."""
    shared = ContainerJob.objects.pending().filter(hold="", docker_host=None)
    return shared.exclude(not_before_at__gt=Now()).exists()


def _pick(host_id: UUID, limit: int, wanted: Wanted, *, pinned: bool) -> list[UUID]:
    where = "docker_host_id = %s" if pinned else "docker_host_id IS NULL"
    params: list[Any] = [_key(host_id)] if pinned else []
    if not pinned and wanted.stand_back:
        where += f" AND created_at < {batches.later('%s')}"
        params.append(-STAND_BACK_SECONDS)
    order = "created_at, id" if wanted.oldest_first else "priority DESC, created_at, id"
    skip = " FOR UPDATE SKIP LOCKED" if connection.vendor == "postgresql" else ""
    pick = (
        f"SELECT id FROM jobs_containerjob WHERE status = '{JobStatus.PENDING}' AND hold = '' AND {where} "
        f"AND (not_before_at IS NULL OR not_before_at <= {batches.now()}) AND {_NOTHING_OPEN} "
        f"ORDER BY {order} LIMIT %s{skip}"
    )
    # MATERIALIZED: as a plain subquery the planner may run the LIMIT again for every row, and take too many.
    materialized = "MATERIALIZED " if connection.vendor == "postgresql" else ""
    sql = (
        f"WITH pick AS {materialized}({pick}) UPDATE jobs_containerjob SET status = '{JobStatus.STARTING}', "
        f"attempt_count = {_LAST_NUMBER} + 1, started_at = NULL, not_before_at = NULL, pending_reason = '' "
        "WHERE id IN (SELECT id FROM pick) RETURNING id"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [*params, limit])
        return [row[0] if isinstance(row[0], UUID) else UUID(row[0]) for row in cursor.fetchall()]


def _key(value: UUID) -> Any:
    return ContainerJob._meta.pk.get_db_prep_value(value, connection)


def _write_ids_as_django_does() -> None:
    """On SQLite an id is 32 hex digits; a row that plain SQL gave a dashed one would never be found again."""
    if connection.vendor == "sqlite":
        plain = ", ".join(f"{name} = lower(replace({name}, '-', ''))" for name in _IDS)
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE jobs_containerjob SET {plain} WHERE status = '{JobStatus.PENDING}' AND hold = '' "
                "AND length(id) = 36"
            )


_IDS = ("id", "template_id", "docker_host_id")


def _open_attempts(
    job_ids: Sequence[UUID], lease: Lease, host: DockerHost, *, installation: UUID, who: str
) -> list[Attempt]:
    jobs = sorted(
        ContainerJob.objects.filter(id__in=job_ids).defer("secret_environment"),
        key=lambda job: (-job.priority, job.created_at, job.id),
    )
    frozen = frozen_specs(jobs)
    attempts = [
        Attempt(
            job=job,
            number=job.attempt_count,
            host=host,
            host_name=host.name,
            epoch=lease.epoch,
            state=AttemptState.CLAIMED,
            spec=frozen[job.id],
            container_name=spec.container_name(installation, job.id),
        )
        for job in jobs
    ]
    # Not by the models: that took longer than all the rest of a claim.
    said = {"message": f"by {host.name}", "who": who}
    rows = [{**said, **{name: getattr(one, name) for name in _COPIED}} for one in attempts]
    for row, attempt in zip(rows, attempts, strict=True):
        row |= {"attempt_id": attempt.id, "spec": json.dumps(attempt.spec, allow_nan=False)}
    batches.inserted(_NEW_COLUMNS, rows, [_new_attempts(), _claimed_events()])
    return attempts


_COPIED = ("job_id", "number", "host_id", "host_name", "epoch", "container_name")
_NEW_COLUMNS: dict[str, Any] = {
    "attempt_id": Attempt._meta.get_field("id"),
    "job_id": ContainerJob._meta.get_field("id"),
    "host_id": DockerHost._meta.get_field("id"),
    **{name: Attempt._meta.get_field(name) for name in ("number", "host_name", "epoch", "container_name")},
    # Dumped already: what a batch's JSON loses, the launch is to refuse.
    "spec": models.TextField(),
    **{name: JobEvent._meta.get_field(name) for name in ("message", "who")},
}


def _claimed_events() -> str:
    return (
        "INSERT INTO jobs_jobevent (job_id, attempt_number, at, kind, message, who) "
        f"SELECT job_id, number, {batches.now()}, 'claimed', message, who FROM x"
    )


def _new_attempts() -> str:
    spec_column = "spec::jsonb" if connection.vendor == "postgresql" else "spec"
    return (
        f"INSERT INTO jobs_attempt (id, {', '.join(_COPIED)}, state, spec) "
        f"SELECT attempt_id, {', '.join(_COPIED)}, '{AttemptState.CLAIMED}', {spec_column} FROM x"
    )

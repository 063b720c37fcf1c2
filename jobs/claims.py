"""Taking hosts and jobs: the only places that lock rows of jobs.

Taking a host raises its epoch and restamps every open attempt on it in one transaction, so a former holder's
writes change no row from then on. Taking jobs locks the lease first: a takeover waits for the claim, or the
claim finds the lease gone. (A claim that only tested whether the lease exists let a stale attempt through.)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar
from uuid import UUID

from django.db import connection, models, transaction
from django.db.models.base import ModelState
from django.db.models.functions import Now

from hosts import leases
from hosts.executors import registry
from hosts.identity import ProcessIdentity
from hosts.ids import new_id
from hosts.leases import Lease
from hosts.models import DockerHost
from jobs import batches, kinds, selection, spec
from jobs.freezing import Taken, frozen_specs, recipe_version
from jobs.models import Attempt, ContainerJob, JobEvent
from jobs.states import AttemptState, JobStatus

Model = TypeVar("Model", bound=models.Model)
STAND_BACK_SECONDS = 2.0

# A row that was made pending again by plain SQL runs once more, and never beside itself.
_ATTEMPTS = "FROM jobs_attempt AS a WHERE a.job_id = jobs_containerjob.id"
_NOTHING_OPEN = f"NOT EXISTS (SELECT 1 {_ATTEMPTS} AND a.state <> '{AttemptState.ENDED}')"
_LAST_NUMBER = f"COALESCE((SELECT MAX(a.number) {_ATTEMPTS}), 0)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How many jobs to take, and which: `oldest_first` passes over priority, so that none starves.

    `stand_back` says whether to leave shared jobs to a better host; asked only if there are some to take.
    `in_a_row`: the last claim took all it wanted, so there is more, most likely. Where not all jobs are
    alike, `free` is how many slots the host has, if not just as many as it is to take, and `look_again` is
    called if jobs were left that may be for this host in a moment.
    """

    room: int
    free: int | None = None
    look_again: Callable[[], None] = lambda: None
    in_a_row: bool = False
    stand_back: Callable[[], bool] = lambda: False
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

    Raises LeaseLost, with nothing claimed, if the lease is not ours any more. Inside of `batches.whole` the
    caller has locked the lease, before all else that it locks.
    """
    if wanted.room <= 0:
        return []
    pinned, shared, mixed = (True, None, False) if wanted.in_a_row else _claimable(host.id)
    if not (pinned or shared):
        return []
    with transaction.atomic(savepoint=not batches.is_whole()):
        if not batches.is_whole():
            # A statement of its own: the next one sees what was committed while this one waited, a pause too.
            leases.lock_current(lease)
        _write_ids_as_django_does()
        claimed = []
        if pinned and not mixed:
            claimed = _pick(f"{_PINNED} AND {_ALIKE}", [_key(host.id)], wanted.room, wanted)
        if room := wanted.room - len(claimed):
            _, shared, mixed = _claimable(host.id) if shared is None else (pinned, shared, mixed)
            claimed += _pick_more(host, room, wanted, shared=shared, mixed=mixed)
        if not claimed:
            return []
        return _open_attempts(claimed, lease, host, installation=installation, who=who)


def _pick_more(host: DockerHost, room: int, wanted: Wanted, *, shared: bool, mixed: bool) -> list[Taken]:
    """Once there is none any more of those that are pinned and alike."""
    if mixed or (shared and kinds.is_choosy(host)):
        return _pick_selected(host, room, wanted)
    return _pick_shared(room, wanted) if shared else []


def _pick_shared(room: int, wanted: Wanted) -> list[Taken]:
    shared = f"{_SHARED} AND {_ALIKE}"
    if not wanted.stand_back():
        return _pick(shared, [], room, wanted)
    return _pick(f"{shared} AND created_at < {_long_ago()}", [-STAND_BACK_SECONDS], room, wanted)


def _pick_selected(host: DockerHost, room: int, wanted: Wanted) -> list[Taken]:
    """The same where jobs differ in where they may run, or how many of them at once."""
    selected = selection.select(
        host,
        room,
        free=wanted.room if wanted.free is None else wanted.free,
        oldest_first=wanted.oldest_first,
        stand_back_seconds=STAND_BACK_SECONDS,
    )
    if selected.stood_back or selected.is_contended:
        wanted.look_again()
    claimed = []
    for share in selected.shares:
        kind = share.kind
        where, params = (_SHARED, []) if kind.host_key is None else (_PINNED, [kind.host_key])
        params += [kind.template_key, kind.override_image, kind.limit_key, -share.least_age]
        claimed += _pick(
            f"{where} AND {_OF_KIND} AND created_at <= {_long_ago()}", params, share.count, wanted
        )
    return claimed


def anything_claimable(host_id: UUID) -> bool:
    """Whether a claim could find anything: a look at the partial index, with no lock taken."""
    pinned, shared, _ = _claimable(host_id)
    return pinned or shared


def _claimable(host_id: UUID) -> tuple[bool, bool, bool]:
    """Whether there may be something among the jobs pinned to the host, and among the shared ones.

    And whether not all jobs are alike, so that each kind of them is to be looked at.
    """
    due = f"EXISTS (SELECT 1 FROM jobs_containerjob WHERE {_WAITING}"
    sql = f"SELECT {due} AND {_PINNED}), {due} AND {_SHARED}), {kinds.PARTICULAR}"
    ((pinned, shared, mixed),) = batches.execute(sql, [_key(host_id)])
    return bool(pinned), bool(shared), bool(mixed)


def anything_shared() -> bool:
    """Whether a job is due that any host may take."""
    shared = ContainerJob.objects.pending().filter(hold="", docker_host=None)
    return shared.exclude(not_before_at__gt=Now()).exists()


_GOING = "NOT EXISTS (SELECT 1 FROM hosts_installation WHERE paused_at IS NOT NULL)"  # see hosts.pausing
_WAITING = f"status = '{JobStatus.PENDING}' AND hold = '' AND {_GOING}"
_PINNED, _SHARED = "docker_host_id = %s", "docker_host_id IS NULL"
_OF_KIND = "template_id = %s AND override_image = %s AND limit_key = %s"
# Said in the statement that takes them: a limit that was set a moment before holds for it.
_ALIKE = f"NOT {kinds.PARTICULAR}"
# What a frozen spec, an attempt and a run are made of.
_PARTS = {
    *("id", "template_id", "name", "override_image", "override_command", "override_environment"),
    *("override_max_attempts", "override_retry_on", "override_start_deadline_seconds", "priority"),
    *("created_at", "attempt_count", "infra_failure_count", "limit_key"),
}
_FIELDS = [field for field in ContainerJob._meta.concrete_fields if field.attname in _PARTS]
_NEEDED = [field.attname for field in _FIELDS]


def _long_ago() -> str:
    return batches.later("%s")


def _pick(where: str, params: list[Any], limit: int, wanted: Wanted) -> list[Taken]:
    sql = _pick_sql(connection.vendor, where, oldest_first=wanted.oldest_first)
    return [_taken(row) for row in batches.execute(sql, [*params, limit])]


@cache
def _pick_sql(vendor: str, where: str, *, oldest_first: bool) -> str:
    # By the host too, which is all the same: PostgreSQL would sort all that wait for none, unless the order
    # is the index's.
    order = "docker_host_id, created_at" if oldest_first else "docker_host_id, priority DESC, created_at, id"
    postgresql = vendor == "postgresql"
    pick = (
        f"SELECT id FROM jobs_containerjob WHERE {_WAITING} AND {where} "
        f"AND (not_before_at IS NULL OR not_before_at <= {batches.now()}) AND {_NOTHING_OPEN} "
        f"ORDER BY {order} LIMIT %s{' FOR UPDATE SKIP LOCKED' if postgresql else ''}"
    )
    # MATERIALIZED: as a plain subquery the planner may run the LIMIT again for every row, and take too many.
    columns = ", ".join((*_NEEDED, "secret_environment"))
    update = (
        f"UPDATE jobs_containerjob SET status = '{JobStatus.STARTING}', "
        f"attempt_count = {_LAST_NUMBER} + 1, started_at = NULL, not_before_at = NULL, pending_reason = '' "
        f"WHERE id IN (SELECT id FROM pick) RETURNING {columns}"
    )
    if not postgresql:
        return f"WITH pick AS ({pick}) {update}, NULL"
    return (
        f"WITH pick AS MATERIALIZED ({pick}), "
        f"taken AS ({update}) SELECT taken.*, {recipe_version('taken.template_id')} FROM taken"
    )


def _taken(row: Sequence[Any]) -> Taken:
    *values, secrets, version = row
    read = [convert(value) for convert, value in zip(_converters(connection.vendor), values, strict=True)]
    job = _instance(ContainerJob, dict(zip(_NEEDED, read, strict=True)))
    return Taken(job, secrets or "", version)


def _instance(model: type[Model], values: Mapping[str, Any], **related: Any) -> Model:
    """A model as it was read with these columns. Its constructor goes through all its fields, at length."""
    made = model.__new__(model)
    made._state = ModelState()
    made._state.db, made._state.adding = connection.alias, False
    made._state.fields_cache.update(related)
    made.__dict__.update(values)
    return made


@cache
def _blank_attempt() -> dict[str, Any]:
    return {name: value for name, value in vars(Attempt()).items() if name not in {"_state", "id"}}


@cache
def _converters(_vendor: str) -> list[Callable[[Any], Any]]:
    return [_converter(field) for field in _FIELDS]


def _converter(field: Any) -> Callable[[Any], Any]:
    """From what the database's driver reads of a column to what the model holds, as Django's own reads do."""
    column = field.get_col(ContainerJob._meta.db_table)
    steps = [*connection.ops.get_db_converters(column), *column.get_db_converters(connection)]

    def convert(value: Any) -> Any:
        for step in steps:
            value = step(value, column, connection)
        return value

    return convert


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
    taken: Sequence[Taken], lease: Lease, host: DockerHost, *, installation: UUID, who: str
) -> list[Attempt]:
    frozen = frozen_specs(taken)
    retries = registry.configured_retries(host.executor_type, host.executor_config)
    if retries is not None:
        for each in frozen.values():
            each["infra_retries"] = retries
    jobs = sorted((one.job for one in taken), key=lambda job: (-job.priority, job.created_at, job.id))
    attempts = [
        _instance(
            Attempt,
            {
                **_blank_attempt(),
                "id": new_id(),
                "job_id": job.id,
                "number": job.attempt_count,
                "host_id": host.id,
                "host_name": host.name,
                "epoch": lease.epoch,
                "spec": frozen[job.id],
                "container_name": spec.container_name(installation, job.id),
            },
            job=job,
            host=host,
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

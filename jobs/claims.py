"""Taking hosts and jobs: the only places that lock rows of jobs.

Taking a host raises its epoch and restamps every open attempt on it in one transaction, so a former holder's
writes change no row from then on. Taking jobs locks the lease first: a takeover waits for the claim, or the
claim finds the lease gone. (A claim that only tested whether the lease exists let a stale attempt through.)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

from django.db import connection, models, transaction
from django.db.models.functions import Now

from hosts import leases
from hosts.executors import registry
from hosts.identity import ProcessIdentity
from hosts.ids import new_id
from hosts.leases import Lease
from hosts.models import DockerHost
from jobs import batches, kinds, picks, selection, spec
from jobs.freezing import Taken, frozen_specs
from jobs.models import Attempt, ContainerJob, JobEvent
from jobs.selection import Order, Share
from jobs.states import AttemptState, JobStatus

STAND_BACK_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How many jobs to take, and which: `oldest_first` passes over priority, so that none starves.

    `saving`: an earlier claim of that kind had too little memory or CPUs for the oldest, so those that need
    some go by age until it has them, and all others by priority; `saves_up` is called if that is so (still).
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
    saving: bool = False
    saves_up: Callable[[], None] = lambda: None


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
    in_a_row = wanted.in_a_row and not wanted.oldest_first
    pinned, shared, mixed = (True, None, False) if in_a_row else _claimable(host.id)
    if not (pinned or shared):
        return []
    with transaction.atomic(savepoint=not batches.is_whole()):
        if not batches.is_whole():
            # A statement of its own: the next one sees what was committed while this one waited, a pause too.
            leases.lock_current(lease)
        _write_ids_as_django_does()
        if wanted.oldest_first and pinned and shared and kinds.is_choosy(host):
            mixed = True  # what is shared is not all for this host: selecting compares the ages
        claimed = _pick_alike(host, wanted, shared=bool(shared)) if pinned and not mixed else []
        if room := wanted.room - len(claimed):
            _, shared, mixed = _claimable(host.id) if shared is None else (pinned, shared, mixed)
            claimed += _pick_more(host, room, wanted, shared=shared, mixed=mixed)
        if not claimed:
            return []
        return _open_attempts(claimed, lease, host, installation=installation, who=who)


def _pick_alike(host: DockerHost, wanted: Wanted, *, shared: bool) -> list[Taken]:
    """Jobs that are pinned, and alike. The oldest of all goes before them at its turn, if it is shared."""
    pinned, key = f"{picks.PINNED} AND {picks.ALIKE}", _key(host.id)
    older = (
        _pick_shared(1, wanted, picks.older_than_pinned(), [key]) if wanted.oldest_first and shared else []
    )
    if len(older) == wanted.room:
        return older
    return older + picks.take(pinned, [key], wanted.room - len(older), oldest_first=wanted.oldest_first)


def _pick_more(host: DockerHost, room: int, wanted: Wanted, *, shared: bool, mixed: bool) -> list[Taken]:
    """Once there is none any more of those that are pinned and alike."""
    if mixed or (shared and kinds.is_choosy(host)):
        return _pick_selected(host, room, wanted)
    return _pick_shared(room, wanted) if shared else []


def _pick_shared(room: int, wanted: Wanted, which: str = "TRUE", params: Sequence[Any] = ()) -> list[Taken]:
    where, values = f"{picks.SHARED} AND {picks.ALIKE} AND {which}", [*params]
    if wanted.stand_back():
        where, values = f"{where} AND created_at < {picks.long_ago()}", [*values, -STAND_BACK_SECONDS]
    return picks.take(where, values, room, oldest_first=wanted.oldest_first)


def _pick_selected(host: DockerHost, room: int, wanted: Wanted) -> list[Taken]:
    """The same where jobs differ in where they may run, or how many of them at once."""
    selected = selection.select(
        host,
        room,
        free=wanted.room if wanted.free is None else wanted.free,
        order=_order_of(wanted),
        stand_back_seconds=STAND_BACK_SECONDS,
    )
    if selected.stood_back or selected.is_contended:
        wanted.look_again()
    if selected.saves_up:
        wanted.saves_up()
    alike: dict[tuple[Any, bool], list[Share]] = {}
    for share in selected.shares:
        alike.setdefault((share.kind.host_key, share.oldest_first), []).append(share)
    return [taken for shares in alike.values() for taken in picks.take_shares(shares)]


def _order_of(wanted: Wanted) -> Order:
    if wanted.oldest_first:
        return Order.BY_AGE
    return Order.SAVING if wanted.saving else Order.BY_PRIORITY


def anything_claimable(host_id: UUID) -> bool:
    """Whether a claim could find anything: a look at the partial index, with no lock taken."""
    pinned, shared, _ = _claimable(host_id)
    return pinned or shared


def _claimable(host_id: UUID) -> tuple[bool, bool, bool]:
    """Whether there may be something among the jobs pinned to the host, and among the shared ones.

    And whether not all jobs are alike, so that each kind of them is to be looked at.
    """
    due = f"EXISTS (SELECT 1 FROM jobs_containerjob WHERE {picks.WAITING}"
    sql = f"SELECT {due} AND {picks.PINNED}), {due} AND {picks.SHARED}), {kinds.PARTICULAR}"
    ((pinned, shared, mixed),) = batches.execute(sql, [_key(host_id)])
    return bool(pinned), bool(shared), bool(mixed)


def anything_shared() -> bool:
    """Whether a job is due that any host may take."""
    shared = ContainerJob.objects.pending().filter(hold="", docker_host=None)
    return shared.exclude(not_before_at__gt=Now()).exists()


@cache
def _blank_attempt() -> dict[str, Any]:
    return {name: value for name, value in vars(Attempt()).items() if name not in {"_state", "id"}}


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
        picks.instance(
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

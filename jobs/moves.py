"""Every change of an attempt's state, and what follows from it for its job. All guarded, all in batches.

A move changes an attempt only if its epoch is the writer's and its state is one the new state may come
from; the job follows only if the attempt is its current one. Each function returns the attempts that moved:
one that is missing is not ours any more, and its container is not to be touched again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any
from uuid import UUID

from django.db import connection, models, transaction

from jobs import batches
from jobs.batches import Row
from jobs.models import Attempt, ContainerExecution, ContainerJob, JobEvent, Tally
from jobs.models.job import Hold
from jobs.states import (
    COMES_FROM,
    ENDED_STATUSES,
    NOT_STARTED,
    OPEN_STATES,
    OPEN_STATUSES,
    AttemptState,
    status_while,
)


def _field(model: type[models.Model], name: str) -> models.Field[Any, Any]:
    return model._meta.get_field(name)  # type: ignore[return-value]


def fields_of(model: type[models.Model], *names: str) -> dict[str, models.Field[Any, Any]]:
    """Columns of a batch, typed like the model's own columns."""
    return {name: _field(model, name) for name in names}


BASE_COLUMNS = {
    "attempt_id": _field(Attempt, "id"),
    "job_id": _field(ContainerJob, "id"),
    **fields_of(Attempt, "number", "epoch"),
    **fields_of(JobEvent, "who", "message"),
}


def _literals(values: Sequence[str]) -> str:
    return ", ".join(f"'{value}'" for value in values)


def _update(to: AttemptState, sets: str = "", *, comes_from: Sequence[str] | None = None) -> str:
    origins = batches.one_of("a.state", COMES_FROM[to] if comes_from is None else comes_from)
    extra = f", {sets}" if sets else ""
    # What a step was doing in the state before is no news any more.
    return (
        f"UPDATE jobs_attempt AS a SET state = '{to}', phase = ''{extra} FROM x "
        f"WHERE a.id = x.attempt_id AND a.epoch = x.epoch AND {origins}"
    )


def _follow(status: str, sets: str = "") -> str:
    extra = f", {sets}" if sets else ""
    is_open = batches.one_of("j.status", OPEN_STATUSES)
    return (
        f"UPDATE jobs_containerjob AS j SET status = {status}{extra} FROM m "
        f"WHERE j.id = m.job_id AND j.attempt_count = m.number AND {is_open}"
    )


def event(kind: str) -> str:
    """The statement that adds one line to the timeline of each job in `m`."""
    return (
        "INSERT INTO jobs_jobevent (job_id, attempt_number, at, kind, message, who) "
        f"SELECT m.job_id, m.number, {batches.now()}, '{kind}', m.message, m.who FROM m"
    )


def _move(
    to: AttemptState, rows: Sequence[Row], *, columns: Mapping[str, Any], update: str, job_sets: str = ""
) -> set[UUID]:
    follow = _follow(f"'{status_while(to)}'", job_sets)
    return batches.guarded({**BASE_COLUMNS, **columns}, rows, update, [follow, event(to)])


def to_pulling(rows: Sequence[Row]) -> set[UUID]:
    """The image is being brought to the engine."""
    return _move(AttemptState.PULLING, rows, columns={}, update=_update(AttemptState.PULLING))


_PHASE_COLUMNS = {
    "attempt_id": _field(Attempt, "id"),
    **fields_of(Attempt, "epoch", "phase"),
}


def note_phase(rows: Sequence[Row]) -> set[UUID]:
    """What a long step before the start is doing; no state changes, and it is no event."""
    update = (
        "UPDATE jobs_attempt AS a SET phase = x.phase FROM x WHERE a.id = x.attempt_id "
        f"AND a.epoch = x.epoch AND {batches.one_of('a.state', NOT_STARTED)}"
    )
    return batches.guarded(_PHASE_COLUMNS, rows, update, [])


_CONTAINER_COLUMNS = {
    **fields_of(Attempt, "container_id", "image_digest"),
    **fields_of(ContainerJob, "executor_metadata"),
}


def fence(rows: Sequence[Row]) -> set[UUID]:
    """The container exists, not started. Who is not in the answer must delete it, and start nothing."""
    return _move(
        AttemptState.CREATED,
        rows,
        columns={**_CONTAINER_COLUMNS, **fields_of(Attempt, "discarding_id")},
        update=_update(
            AttemptState.CREATED,
            "container_id = x.container_id, discarding_id = x.discarding_id, image_digest = x.image_digest",
            # A container that was made and deleted again, never started, is replaced by another one.
            comes_from=NOT_STARTED,
        ),
        job_sets="executor_metadata = m.executor_metadata",
    )


def describe(rows: Sequence[Row]) -> set[UUID]:
    """What the engine says of a container that runs: networks, ports, image; no state changes."""
    update = (
        "UPDATE jobs_attempt AS a SET image_digest = x.image_digest FROM x WHERE a.id = x.attempt_id "
        f"AND a.epoch = x.epoch AND {batches.one_of('a.state', OPEN_STATES)}"
    )
    follow = (
        "UPDATE jobs_containerjob AS j SET executor_metadata = m.executor_metadata FROM m "
        "WHERE j.id = m.job_id AND j.attempt_count = m.number"
    )
    return batches.guarded({**BASE_COLUMNS, **_CONTAINER_COLUMNS}, rows, update, [follow])


_RUNNING_COLUMNS = {
    **fields_of(Attempt, "container_id"),
    "timeout_seconds": models.FloatField(),
}


def to_running(rows: Sequence[Row]) -> set[UUID]:
    """The container was started; its deadline counts from this write, by the database's clock."""
    sets = (
        f"container_id = x.container_id, started_at = {batches.now()}, "
        f"deadline_at = {batches.later('x.timeout_seconds')}"
    )
    return _move(
        AttemptState.RUNNING,
        rows,
        columns=_RUNNING_COLUMNS,
        update=_update(AttemptState.RUNNING, sets),
        job_sets=f"started_at = {batches.now()}, waiting_since_at = NULL",
    )


def to_stopping(rows: Sequence[Row]) -> set[UUID]:
    """We are about to stop it, and say why; written before the first signal."""
    return _move(
        AttemptState.STOPPING,
        rows,
        columns=fields_of(Attempt, "stop_reason"),
        update=_update(AttemptState.STOPPING, f"stop_reason = x.stop_reason, stopping_at = {batches.now()}"),
    )


_EXIT_COLUMNS = {
    **_CONTAINER_COLUMNS,
    **fields_of(Attempt, "exit_code", "oom_killed", "started_at", "finished_at"),
}


_EXIT_SETS = (
    "container_id = x.container_id, image_digest = x.image_digest, oom_killed = x.oom_killed, "
    "finished_at = x.finished_at, started_at = COALESCE(a.started_at, x.started_at)"
)
_JOB_EXIT_SETS = (
    "executor_metadata = m.executor_metadata, waiting_since_at = NULL, "
    "started_at = COALESCE(j.started_at, m.started_at)"
)


def to_exited(rows: Sequence[Row]) -> set[UUID]:
    """The container has ended by itself or by us; its log is still to be completed."""
    return _move(
        AttemptState.EXITED,
        rows,
        columns=_EXIT_COLUMNS,
        update=_update(AttemptState.EXITED, f"exit_code = x.exit_code, {_EXIT_SETS}"),
        job_sets=_JOB_EXIT_SETS,
    )


_EXECUTION = tuple(
    field.attname
    for field in ContainerExecution._meta.concrete_fields
    if field.name not in {"job", "attempt_number", "updated_at", "stdout_bytes", "stderr_bytes"}
)
_TALLY_STEPS = (
    (1, "within_1s"),
    (10, "within_10s"),
    (60, "within_1m"),
    (600, "within_10m"),
    (3600, "within_1h"),
)
_FAILURE = ("failure_class", "failure_message", "failure_hint")

_END_COLUMNS = {
    **BASE_COLUMNS,
    **fields_of(Attempt, "outcome", "exit_code", "host_name", *_FAILURE),
    **fields_of(Attempt, "logs_complete", "logs_note", "stdout_bytes", "stderr_bytes"),
    **fields_of(ContainerExecution, *_EXECUTION),
    **fields_of(Tally, "template_name"),
    "job_status": _field(ContainerJob, "status"),
    "retry_delay_seconds": models.FloatField(),
    "run_seconds": models.FloatField(),
    "infra_failures": _field(ContainerJob, "infra_failure_count"),
}
_FINISH_COLUMNS = {**_END_COLUMNS, **_EXIT_COLUMNS, "exit_message": _field(JobEvent, "message")}


def end(rows: Sequence[Row]) -> set[UUID]:
    """The attempt is over: its outcome, its job's status (or the wait for a retry), execution and tally.

    Call it in one transaction with the last log bytes, so that whoever sees a job ended can read its log.
    """
    return _end(rows, _END_COLUMNS, *_end_sql(connection.vendor))


def finish(rows: Sequence[Row]) -> set[UUID]:
    """As `end`, for one that had exited before it was written as running: both are told with its end."""
    return _end(rows, _FINISH_COLUMNS, *_finish_sql(connection.vendor))


@cache
def _end_sql(_vendor: str) -> tuple[str, list[str]]:
    then = [_end_of_job() + _awaited(), _execution(), _tally(), event("ended")]
    return _update(AttemptState.ENDED, _end_sets()), then


@cache
def _finish_sql(_vendor: str) -> tuple[str, list[str]]:
    then = [_end_of_job(f", {_JOB_EXIT_SETS}") + _awaited(), _execution(), _tally(), _short_life()]
    return _update(AttemptState.ENDED, f"{_end_sets()}, {_EXIT_SETS}"), then


def _end(rows: Sequence[Row], columns: batches.Columns, update: str, then: Sequence[str]) -> set[UUID]:
    if not rows:
        return set()
    ask = "EXISTS (SELECT 1 FROM then0 WHERE awaited)"

    def write(guard: batches.Guard) -> set[UUID]:
        # No savepoint: whoever puts this into a larger transaction wants all of it, or nothing.
        with transaction.atomic(savepoint=False):
            held = guard(columns, rows, update, then, ask)
            if held.asked:
                release_restarts([row["job_id"] for row in rows if row["attempt_id"] in held])
        return held

    if not connection.in_atomic_block and len(rows) <= batches.MAX_ROWS:
        with batches.unless_refused():
            return write(batches.all_or_none)
    return write(batches.guarded)


def _end_sets() -> str:
    failures = ", ".join(f"{name} = x.{name}" for name in _FAILURE)
    return (
        f"outcome = x.outcome, exit_code = x.exit_code, ended_at = {batches.now()}, unknown_since_at = NULL, "
        f"logs_complete = x.logs_complete, logs_note = x.logs_note, {failures}"
    )


def _awaited() -> str:
    """Whether a restart may wait for the job: one that is seen, or that came while this waited for the row.

    The latter cancelled it before, which the row says in its newest version.
    """
    if connection.vendor == "sqlite":
        return ""
    waits = (
        f"SELECT 1 FROM jobs_containerjob AS r WHERE r.restarted_from_id = j.id AND r.hold = '{Hold.RESTART}'"
    )
    return f" RETURNING j.cancel_requested_at IS NOT NULL OR EXISTS ({waits}) AS awaited"


def _short_life() -> str:
    messages = {"running": "''", "exited": "m.exit_message", "ended": "m.message"}
    told = " UNION ALL ".join(
        f"SELECT m.job_id, m.number, '{kind}' AS kind, {message} AS message, m.who, {place} AS place FROM m"
        for place, (kind, message) in enumerate(messages.items())
    )
    return (
        "INSERT INTO jobs_jobevent (job_id, attempt_number, at, kind, message, who) "
        f"SELECT job_id, number, {batches.now()}, kind, message, who FROM ({told}) AS told ORDER BY place"
    )


def _end_of_job(sets: str = "") -> str:
    # A cancel that came while the attempt ended by itself must still keep the job from running again.
    cancelled = "m.job_status = 'pending' AND j.cancel_requested_at IS NOT NULL"
    status = f"CASE WHEN {cancelled} THEN 'cancelled' ELSE m.job_status END"
    again = "m.job_status = 'pending' AND j.cancel_requested_at IS NULL"
    failures = ", ".join(f"{name} = m.{name}" for name in _FAILURE)
    return _follow(
        status,
        f"completed_at = CASE WHEN {again} THEN NULL ELSE {batches.now()} END, exit_code = m.exit_code, "
        f"not_before_at = CASE WHEN {again} THEN {batches.later('m.retry_delay_seconds')} ELSE NULL END, "
        f"infra_failure_count = m.infra_failures, {failures}{sets}",
    )


def release_restarts(job_ids: Iterable[UUID]) -> bool:
    """Let the jobs go that wait for one of these to end, as far as it has; whether there was one."""
    # A statement of its own, which sees a restart that committed while the end waited for its job's row.
    keys = [_KEY.get_db_prep_value(job_id, connection) for job_id in job_ids]
    if not keys:
        return False
    ours, params = "= ANY(%s)", [keys]
    if connection.vendor == "sqlite":
        ours, params = f"IN ({', '.join(['%s'] * len(keys))})", keys
    released = batches.execute(
        f"UPDATE jobs_containerjob SET hold = '{Hold.NONE}', waiting_since_at = {batches.now()} "
        f"WHERE hold = '{Hold.RESTART}' AND restarted_from_id IN (SELECT id FROM jobs_containerjob "
        f"WHERE id {ours} AND status IN ({_literals(ENDED_STATUSES)})) RETURNING 1",
        params,
    )
    return bool(released)


_KEY = _field(ContainerJob, "id")


def _execution() -> str:
    names = ("job_id", "attempt_number", "stdout_bytes", "stderr_bytes", *_EXECUTION)
    values = [
        "m.job_id",
        "m.number",
        "m.stdout_bytes",
        "m.stderr_bytes",
        *(f"m.{name}" for name in _EXECUTION),
    ]
    replaced = ", ".join(f"{name} = excluded.{name}" for name in (*names[1:], "updated_at"))
    return (
        f"INSERT INTO jobs_containerexecution ({', '.join(names)}, updated_at) "
        f"SELECT {', '.join(values)}, {batches.now()} FROM m WHERE true "
        f"ON CONFLICT (job_id) DO UPDATE SET {replaced}"
    )


def _tally() -> str:
    counted, below = [], 0
    for limit, _ in _TALLY_STEPS:
        counted.append(
            f"SUM(CASE WHEN m.run_seconds >= {below} AND m.run_seconds < {limit} THEN 1 ELSE 0 END)"
        )
        below = limit
    counted.append(f"SUM(CASE WHEN m.run_seconds >= {below} THEN 1 ELSE 0 END)")
    steps = [*(name for _, name in _TALLY_STEPS), "beyond_1h"]
    sums = ("count", "seconds", "log_bytes", *steps)
    added = ", ".join(f"{name} = jobs_tally.{name} + excluded.{name}" for name in sums)
    return (
        f"INSERT INTO jobs_tally (minute, host_name, template_name, outcome, {', '.join(sums)}) "
        f"SELECT {batches.this_minute()}, m.host_name, m.template_name, m.outcome, COUNT(*), "
        f"SUM(m.run_seconds), SUM(m.stdout_bytes + m.stderr_bytes), {', '.join(counted)} FROM m "
        "GROUP BY m.host_name, m.template_name, m.outcome "
        f"ON CONFLICT (minute, host_name, template_name, outcome) DO UPDATE SET {added}"
    )

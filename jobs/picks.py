"""Taking jobs: the statements of `jobs.claims`, which calls them under a host's lease."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

from django.db import connection, models
from django.db.models.base import ModelState

from jobs import batches, kinds
from jobs.freezing import Taken, recipe_version
from jobs.models import ContainerJob
from jobs.selection import Share
from jobs.states import AttemptState, JobStatus

Model = TypeVar("Model", bound=models.Model)

# A row that was made pending again by plain SQL runs once more, and never beside itself.
_ATTEMPTS = "FROM jobs_attempt AS a WHERE a.job_id = jobs_containerjob.id"
_NOTHING_OPEN = f"NOT EXISTS (SELECT 1 {_ATTEMPTS} AND a.state <> '{AttemptState.ENDED}')"
_LAST_NUMBER = f"COALESCE((SELECT MAX(a.number) {_ATTEMPTS}), 0)"
_GOING = "NOT EXISTS (SELECT 1 FROM hosts_installation WHERE paused_at IS NOT NULL)"  # see hosts.pausing
WAITING = f"status = '{JobStatus.PENDING}' AND hold = '' AND {_GOING}"
PINNED, SHARED = "docker_host_id = %s", "docker_host_id IS NULL"
_OF_KIND = "template_id = %s AND override_image = %s AND limit_key = %s"
# Said in the statement that takes them: a limit that was set a moment before holds for it.
ALIKE = f"NOT {kinds.PARTICULAR}"
# What a frozen spec, an attempt and a run are made of.
_PARTS = {
    *("id", "template_id", "name", "override_image", "override_command", "override_environment"),
    *("override_max_attempts", "override_retry_on", "override_start_deadline_seconds", "priority"),
    *("created_at", "attempt_count", "infra_failure_count", "limit_key"),
}
_FIELDS = [field for field in ContainerJob._meta.concrete_fields if field.attname in _PARTS]
_NEEDED = [field.attname for field in _FIELDS]


def long_ago() -> str:
    """SQL of a moment; its parameter is how many seconds from now."""
    return batches.later("%s")


def older_than_pinned() -> str:
    """SQL: older than every due job that is pinned to a host, its parameter; false where there is none."""
    return (
        f"created_at < (SELECT p.created_at FROM jobs_containerjob p WHERE p.status = '{JobStatus.PENDING}' "
        "AND p.hold = '' AND p.docker_host_id = %s "
        f"AND (p.not_before_at IS NULL OR p.not_before_at <= {batches.now()}) ORDER BY p.created_at LIMIT 1)"
    )


def take(where: str, params: list[Any], limit: int, *, oldest_first: bool) -> list[Taken]:
    """Take the first jobs that are due, and that the condition is true of; `params` are the condition's."""
    sql = _pick_sql(connection.vendor, where, oldest_first=oldest_first)
    return [_taken(row) for row in batches.execute(sql, [*params, limit])]


def take_shares(shares: Sequence[Share]) -> list[Taken]:
    """Take shares of kinds that are pinned alike, in the same order."""
    host_key, oldest_first = shares[0].kind.host_key, shares[0].oldest_first
    where, params = (SHARED, []) if host_key is None else (PINNED, [host_key])
    rows = [
        (one.kind.template_key, one.kind.override_image, one.kind.limit_key, -one.least_age, one.count)
        for one in shares
    ]
    if connection.vendor == "postgresql":
        columns = [list(column) for column in zip(*rows, strict=True)]
        sql = _pick_shares_sql(where, oldest_first=oldest_first)
        return [_taken(row) for row in batches.execute(sql, [*columns, *params])]
    where = f"{where} AND {_OF_KIND} AND created_at <= {long_ago()}"
    found: list[Taken] = []
    for *kind, count in rows:
        found += take(where, [*params, *kind], count, oldest_first=oldest_first)
    return found


@cache
def _pick_sql(vendor: str, where: str, *, oldest_first: bool) -> str:
    # By the host too, which is all the same: PostgreSQL would sort all that wait for none, unless the order
    # is the index's.
    lock = " FOR UPDATE SKIP LOCKED" if vendor == "postgresql" else ""
    return _take_sql(vendor, _first_due(where, f"docker_host_id, {_order(oldest_first)}", "%s") + lock)


@cache
def _pick_shares_sql(where: str, *, oldest_first: bool) -> str:
    """For PostgreSQL: a statement for each of many kinds took most of a claim's time."""
    of_kind = (
        "template_id = k.template_id AND override_image = k.image AND limit_key = k.limit_key "
        f"AND created_at <= {batches.later('k.age')}"
    )
    order = f"docker_host_id, template_id, override_image, limit_key, {_order(oldest_first)}"
    first = _first_due(f"{where} AND {of_kind}", order, "k.most")
    return _take_sql(
        "postgresql",
        "SELECT j.id FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::float8[], %s::int[]) "
        f"AS k(template_id, image, limit_key, age, most), LATERAL ({first} FOR UPDATE SKIP LOCKED) j",
    )


def _order(oldest_first: bool) -> str:
    return "created_at" if oldest_first else "priority DESC, created_at, id"


def _first_due(where: str, order: str, most: str) -> str:
    return (
        f"SELECT id FROM jobs_containerjob WHERE {WAITING} AND {where} "
        f"AND (not_before_at IS NULL OR not_before_at <= {batches.now()}) AND {_NOTHING_OPEN} "
        f"ORDER BY {order} LIMIT {most}"
    )


def _take_sql(vendor: str, pick: str) -> str:
    """Take the jobs whose ids are picked."""
    # MATERIALIZED: as a plain subquery the planner may run the LIMIT again for every row, and take too many.
    columns = ", ".join((*_NEEDED, "secret_environment"))
    update = (
        f"UPDATE jobs_containerjob SET status = '{JobStatus.STARTING}', "
        f"attempt_count = {_LAST_NUMBER} + 1, started_at = NULL, not_before_at = NULL, pending_reason = '' "
        f"WHERE id IN (SELECT id FROM pick) RETURNING {columns}"
    )
    if vendor != "postgresql":
        return f"WITH pick AS ({pick}) {update}, NULL"
    return (
        f"WITH pick AS MATERIALIZED ({pick}), "
        f"taken AS ({update}) SELECT taken.*, {recipe_version('taken.template_id')} FROM taken"
    )


def _taken(row: Sequence[Any]) -> Taken:
    *values, secrets, version = row
    read = [convert(value) for convert, value in zip(_converters(connection.vendor), values, strict=True)]
    job = instance(ContainerJob, dict(zip(_NEEDED, read, strict=True)))
    return Taken(job, secrets or "", version)


def instance(model: type[Model], values: Mapping[str, Any], **related: Any) -> Model:
    """A model as it was read with these columns. Its constructor goes through all its fields, at length."""
    made = model.__new__(model)
    made._state = ModelState()
    made._state.db, made._state.adding = connection.alias, False
    made._state.fields_cache.update(related)
    made.__dict__.update(values)
    return made


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

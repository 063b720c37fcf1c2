"""Guarded writes of many rows in one round trip, the same text for PostgreSQL and SQLite.

A write has a guarded UPDATE over the relation `x` (the rows handed in), and further statements over the
relation `m` (those rows of `x` whose UPDATE held). On PostgreSQL all of it is one statement, the further
ones as its CTEs; on SQLite it is one IMMEDIATE transaction, where a statement costs no round trip.

Measured against the ORM row by row: 140 jobs a second there, 2,400 here in batches of ten.

A row that the database refuses keeps nobody else back: its batch is written row by row then, and what it
holds that no column takes is left out or replaced, and named in the log.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any
from uuid import UUID

import structlog
from django.core.exceptions import ValidationError
from django.db import (
    DataError,
    IntegrityError,
    InternalError,
    NotSupportedError,
    OperationalError,
    connection,
    models,
    transaction,
)

from hosts import fitting

logger = structlog.get_logger(__name__)

MAX_ROWS = 200
# What is ours, and true whatever an engine says.
_KEYS = frozenset({"attempt_id", "job_id", "number", "epoch", "next_seq"})
# Errors of a value, by the database or on the way to it; those of a database in trouble are not among them.
_REFUSALS = (
    DataError,
    IntegrityError,
    InternalError,
    NotSupportedError,
    OverflowError,
    RecursionError,
    TypeError,
    ValidationError,
    ValueError,
)
_TEXTS = (models.CharField, models.TextField)
_MOST_CHARACTERS = 4 * fitting.TEXT_LIMIT
_PROGRAM_LIMIT = "54"  # the class of PostgreSQL's errors that say `too large`, `too deep`
Row = Mapping[str, Any]
Columns = Mapping[str, "models.Field[Any, Any]"]
Guard = Callable[[Columns, Sequence[Row], str, Sequence[str]], set[UUID]]

_NOW = {"postgresql": "clock_timestamp()", "sqlite": "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now')"}
_MINUTE = {
    "postgresql": "date_trunc('minute', clock_timestamp())",
    "sqlite": "strftime('%%Y-%%m-%%d %%H:%%M:00', 'now')",
}
_LATER = {
    "postgresql": "clock_timestamp() + make_interval(secs => {0})",
    "sqlite": "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now', {0} || ' seconds')",
}


def now() -> str:
    """SQL of the database's clock."""
    return _NOW[connection.vendor]


def this_minute() -> str:
    """SQL of the database's clock, cut to the minute."""
    return _MINUTE[connection.vendor]


def later(seconds: str) -> str:
    """SQL of the database's clock plus the seconds that the SQL expression `seconds` gives."""
    return _LATER[connection.vendor].format(seconds)


def guarded(columns: Columns, rows: Sequence[Row], update: str, then: Sequence[str]) -> set[UUID]:
    """Write `rows`; the ids (column `attempt_id`) whose guard held, all others left untouched.

    Values that the database refuses are made to fit; a row that it refuses even so is left untouched.
    `update` is an UPDATE of attempts `FROM x`, without RETURNING; each of `then` reads `FROM m`. One
    attempt may stand in `rows` once only.
    """
    held: set[UUID] = set()
    for start in range(0, len(rows), MAX_ROWS):
        held |= guarded_groups(columns, [[row] for row in rows[start : start + MAX_ROWS]], update, then)
    return held


def guarded_groups(
    columns: Columns, groups: Sequence[Sequence[Row]], update: str, then: Sequence[str]
) -> set[UUID]:
    """As `guarded`, with several rows of one attempt in a group, of which the guard holds for one."""
    try:
        return _write(columns, [row for group in groups for row in group], update, then)
    except (*_REFUSALS, OperationalError) as exc:
        _raise_unless_refusal(exc)
        return set[UUID]().union(*(_write_alone(columns, group, update, then) for group in groups))


def all_or_none(columns: Columns, rows: Sequence[Row], update: str, then: Sequence[str]) -> set[UUID]:
    """Write a batch, its values not made to fit: a refusal is raised, and spoils the caller's transaction."""
    if connection.vendor == "sqlite":
        return _write_sqlite(columns, rows, update, then)
    return _write_postgresql(columns, rows, update, then)


@contextlib.contextmanager
def unless_refused() -> Iterator[None]:
    """Go on after the block if the database refuses what is written in it; nothing of it is then."""
    try:
        yield
    except (*_REFUSALS, OperationalError) as exc:
        _raise_unless_refusal(exc)


def _raise_unless_refusal(error: Exception) -> None:
    state = getattr(error.__cause__, "sqlstate", None) or ""
    if isinstance(error, OperationalError) and not state.startswith(_PROGRAM_LIMIT):
        raise error


def _write_alone(columns: Columns, group: Sequence[Row], update: str, then: Sequence[str]) -> set[UUID]:
    try:
        return _write(columns, group, update, then)
    except (*_REFUSALS, OperationalError) as exc:
        _raise_unless_refusal(exc)
    try:
        return _write(columns, [_fitted(columns, row) for row in group], update, then)
    except (*_REFUSALS, OperationalError) as exc:
        _raise_unless_refusal(exc)
        logger.exception("the database refuses what is to be written", attempt=str(group[0]["attempt_id"]))
        return set()


def _fitted(columns: Columns, row: Row) -> Row:
    fitted = dict(row)
    for name, field in columns.items():
        if name not in _KEYS:
            fitted[name], trouble = fitting.fit(field, row[name])
            if trouble:
                words = {"attempt": str(row["attempt_id"]), "column": name}
                logger.warning("a value cannot be stored as it is", **words, reason=trouble)
    return fitted


def _write(columns: Columns, rows: Sequence[Row], update: str, then: Sequence[str]) -> set[UUID]:
    if connection.vendor == "sqlite":
        return _write_sqlite(columns, rows, update, then)
    if not connection.in_atomic_block:
        return _write_postgresql(columns, rows, update, then)
    with transaction.atomic():  # a refusal must not spoil the transaction around it
        return _write_postgresql(columns, rows, update, then)


def inserted(columns: Columns, rows: Sequence[Row], statements: Sequence[str]) -> None:
    """Insert new rows: each of `statements` reads `FROM x`, in the caller's transaction."""
    if connection.vendor == "postgresql":
        relation, params = _unnested(columns, rows)
        parts = [relation, *(f"new{number} AS ({sql})" for number, sql in enumerate(statements))]
        _execute_prepared(f"WITH {', '.join(parts)} SELECT 1", params)
        return
    relation, params = _values("x", columns, rows)
    with connection.cursor() as cursor:
        for sql in statements:
            cursor.execute(f"{relation} {sql}", params)


def _unnested(columns: Columns, rows: Sequence[Row]) -> tuple[str, list[Any]]:
    params = []
    for name, field in columns.items():
        plain = _PLAIN.get(field.get_internal_type())
        values = [row[name] for row in rows]
        adapted = [one if type(one) is plain else _adapt(field, one) for one in values]
        params.append(adapted if isinstance(field, models.BinaryField) else _array(adapted))
    return _relation(tuple(columns.items())), params


# Values that PostgreSQL reads as Python writes them, by column: a shortcut, for they are many.
_PLAIN = {
    "UUIDField": UUID,
    "FloatField": float,
    "BooleanField": bool,
    "BigIntegerField": int,
    "PositiveIntegerField": int,
    "IntegerField": int,
}


@cache
def _relation(columns: tuple[tuple[str, models.Field[Any, Any]], ...]) -> str:
    names = ", ".join(name for name, _ in columns)
    arrays = ", ".join(f"{_place(field)}::{field.rel_db_type(connection)}[]" for _, field in columns)
    return f"x({names}) AS (SELECT * FROM unnest({arrays}))"


def _array(values: list[Any]) -> str:
    """An array as PostgreSQL writes it: psycopg takes several times as long to write one."""
    return f"{{{','.join(map(_element, values))}}}"


def _element(value: Any) -> str:
    if value is None:
        return "NULL"
    text = value if type(value) is str else str(value)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _place(field: models.Field[Any, Any]) -> str:
    # An array travels as text unless told otherwise: of bytes, that is twice as many and four times the work.
    return "%b" if isinstance(field, models.BinaryField) else "%s"


def _write_postgresql(columns: Columns, rows: Sequence[Row], update: str, then: Sequence[str]) -> set[UUID]:
    relation, params = _unnested(columns, rows)
    parts = [
        relation,
        f"held AS ({update} RETURNING id)",
        "m AS (SELECT x.* FROM x JOIN held ON held.id = x.attempt_id)",
        *(f"then{number} AS ({statement})" for number, statement in enumerate(then)),
    ]
    return {row[0] for row in _execute_prepared(f"WITH {', '.join(parts)} SELECT id FROM held", params)}


def execute(sql: str, params: Sequence[Any]) -> list[Any]:
    """All rows of a statement, in the caller's transaction if there is one."""
    if connection.vendor == "postgresql":
        return _execute_prepared(sql, params)
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())


def _execute_prepared(sql: str, params: Sequence[Any]) -> list[Any]:
    """All rows of a statement that PostgreSQL parses and plans once for a connection, not for each batch.

    Planning a statement of six writes costs more than carrying it out. Django's own cursors bind values on
    this side, so that no two texts are the same.
    """
    from psycopg import Cursor  # not there where SQLite is all there is

    connection.ensure_connection()
    connection.validate_no_broken_transaction()
    with connection.wrap_database_errors, Cursor(connection.connection) as cursor:
        cursor.execute(sql, params, prepare=True)
        return cursor.fetchall()


def _write_sqlite(columns: Columns, rows: Sequence[Row], update: str, then: Sequence[str]) -> set[UUID]:
    with transaction.atomic(), connection.cursor() as cursor:
        relation, params = _values("x", columns, rows)
        cursor.execute(f"{relation} {update} RETURNING id", params)
        held = {UUID(row[0]) for row in cursor.fetchall()}
        moved = [row for row in rows if row["attempt_id"] in held]
        if moved:
            relation, params = _values("m", columns, moved)
            for statement in then:
                cursor.execute(f"{relation} {statement}", params)
    return held


def _values(relation: str, columns: Columns, rows: Sequence[Row]) -> tuple[str, list[Any]]:
    places = "(" + ", ".join(["%s"] * len(columns)) + ")"
    sql = f"WITH {relation}({', '.join(columns)}) AS (VALUES {', '.join([places] * len(rows))})"
    return sql, [_adapt(field, row[name]) for row in rows for name, field in columns.items()]


def _adapt(field: models.Field[Any, Any], value: Any) -> Any:
    if value is None:
        return None
    # No NUL reaches a text: PostgreSQL refuses it, and one bad row must not stop the others of its batch.
    if isinstance(field, models.JSONField):
        return _bounded(json.dumps(value).replace("\\u0000", "\\ufffd"))
    if isinstance(value, str):
        value = _bounded(value.replace("\x00", "\N{REPLACEMENT CHARACTER}"))
        if type(field) in _TEXTS:
            return value
    return field.get_db_prep_value(value, connection)


def _bounded(text: str) -> str:
    # A database takes more than this, and at some size no more in time: that would look like an outage.
    if len(text) > _MOST_CHARACTERS:
        raise ValueError(f"{len(text)} characters are too many for a column")
    return text


def once_each(rows: Iterable[Row]) -> list[list[Row]]:
    """Cut rows into batches in which each attempt stands once, keeping the order within an attempt."""
    batches: list[list[Row]] = []
    seen: dict[UUID, int] = {}
    for row in rows:
        place = seen.get(row["attempt_id"], 0)
        seen[row["attempt_id"]] = place + 1
        if place == len(batches):
            batches.append([])
        batches[place].append(row)
    return batches

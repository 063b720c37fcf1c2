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
import itertools
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any
from uuid import UUID

import structlog
from django.core.exceptions import ValidationError
from django.db import (
    DEFAULT_DB_ALIAS,
    DataError,
    IntegrityError,
    InternalError,
    NotSupportedError,
    OperationalError,
    connection,
    connections,
    transaction,
)

from hosts import fitting
from jobs import relations
from jobs.relations import Columns as Columns
from jobs.relations import Row as Row

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
_PROGRAM_LIMIT = "54"  # the class of PostgreSQL's errors that say `too large`, `too deep`


class Held(set[UUID]):
    """The attempts whose guard held. `asked`: what was asked with the write is true, or may be."""

    asked = False

    def add_all(self, other: Held) -> None:
        """Take in what another part of the same batch came to."""
        self |= other
        self.asked = self.asked or other.asked


Guard = Callable[[Columns, Sequence[Row], str, Sequence[str], str], Held]

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


def one_of(column: str, values: Iterable[str]) -> str:
    """SQL that the column holds one of the values, said so that no index on it is looked into.

    A guarded write finds its rows by their keys. A plan made while the tables were small took the index of
    what is open instead, and went through all that had been open since: two thirds of the write's time.
    """
    return f"({column} || '') IN ({', '.join(repr(str(value)) for value in values)})"


def guarded(columns: Columns, rows: Sequence[Row], update: str, then: Sequence[str], ask: str = "") -> Held:
    """Write `rows`; the ids (column `attempt_id`) whose guard held, all others left untouched.

    Values that the database refuses are made to fit; a row that it refuses even so is left untouched.
    `update` is an UPDATE of attempts `FROM x`, without RETURNING; each of `then` reads `FROM m`. One
    attempt may stand in `rows` once only. `ask` is a condition over what `then0`, `then1` ... return.
    """
    held = Held()
    for start in range(0, len(rows), MAX_ROWS):
        part = [[row] for row in rows[start : start + MAX_ROWS]]
        held.add_all(guarded_groups(columns, part, update, then, ask))
    return held


def guarded_groups(
    columns: Columns, groups: Sequence[Sequence[Row]], update: str, then: Sequence[str], ask: str = ""
) -> Held:
    """As `guarded`, with several rows of one attempt in a group, of which the guard holds for one."""
    try:
        return _write(columns, [row for group in groups for row in group], update, then, ask)
    except (*_REFUSALS, OperationalError) as exc:
        _raise_unless_refusal(exc)
        if _mode.whole:
            raise
        held = Held()
        for group in groups:
            held.add_all(_write_alone(columns, group, update, then, ask))
        return held


def all_or_none(columns: Columns, rows: Sequence[Row], update: str, then: Sequence[str], ask: str) -> Held:
    """Write a batch, its values not made to fit: a refusal is raised, and spoils the caller's transaction."""
    if connection.vendor == "sqlite":
        return _write_sqlite(columns, rows, update, then)
    return _write_postgresql(columns, rows, update, then, ask)


@contextlib.contextmanager
def whole() -> Iterator[None]:
    """One transaction without a savepoint for each write: a refusal of one is raised, and undoes them all."""
    with transaction.atomic():
        _mode.whole = True
        try:
            yield
        finally:
            _mode.whole = False


def is_whole() -> bool:
    """Whether the caller is inside of `whole`."""
    return _mode.whole


class _Mode(threading.local):
    whole = False


_mode = _Mode()


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


def _write_alone(columns: Columns, group: Sequence[Row], update: str, then: Sequence[str], ask: str) -> Held:
    try:
        return _write(columns, group, update, then, ask)
    except (*_REFUSALS, OperationalError) as exc:
        _raise_unless_refusal(exc)
    try:
        return _write(columns, [_fitted(columns, row) for row in group], update, then, ask)
    except (*_REFUSALS, OperationalError) as exc:
        _raise_unless_refusal(exc)
        logger.exception("the database refuses what is to be written", attempt_id=str(group[0]["attempt_id"]))
        return Held()


def _fitted(columns: Columns, row: Row) -> Row:
    fitted = dict(row)
    for name, field in columns.items():
        if name not in _KEYS:
            fitted[name], trouble = fitting.fit(field, row[name])
            if trouble:
                words = {"attempt_id": str(row["attempt_id"]), "column": name}
                logger.warning("a value cannot be stored as it is", **words, reason=trouble)
    return fitted


def _write(columns: Columns, rows: Sequence[Row], update: str, then: Sequence[str], ask: str) -> Held:
    if connection.vendor == "sqlite":
        return _write_sqlite(columns, rows, update, then)
    if _mode.whole or not connection.in_atomic_block:
        return _write_postgresql(columns, rows, update, then, ask)
    with transaction.atomic():  # a refusal must not spoil the transaction around it
        return _write_postgresql(columns, rows, update, then, ask)


def inserted(columns: Columns, rows: Sequence[Row], statements: Sequence[str]) -> None:
    """Insert new rows: each of `statements` reads `FROM x`, in the caller's transaction."""
    if connection.vendor == "postgresql":
        relation, params = relations.unnested(columns, rows)
        parts = [relation, *(f"new{number} AS ({sql})" for number, sql in enumerate(statements))]
        _execute_prepared(f"WITH {', '.join(parts)} SELECT 1", params)
        return
    relation, params = relations.values("x", columns, rows)
    with connection.cursor() as cursor:
        for sql in statements:
            cursor.execute(f"{relation} {sql}", params)


def _write_postgresql(
    columns: Columns, rows: Sequence[Row], update: str, then: Sequence[str], ask: str
) -> Held:
    relation, params = relations.unnested(columns, rows)
    told = _execute_prepared(_together(relation, update, tuple(then), ask), params)
    held = Held(row[0] for row in told)
    held.asked = any(row[1] for row in told)
    return held


# Without it, a plan made while there were few attempts goes through all there ever were.
_BY_KEY = "AND a.id = ANY (ARRAY(SELECT x.attempt_id FROM x))"


@cache
def _together(relation: str, update: str, then: tuple[str, ...], ask: str) -> str:
    parts = [
        relation,
        f"held AS ({update} {_BY_KEY} RETURNING id)",
        "m AS (SELECT x.* FROM x JOIN held ON held.id = x.attempt_id)",
        *(f"then{number} AS ({statement})" for number, statement in enumerate(then)),
    ]
    return f"WITH {', '.join(parts)} SELECT id, {ask or 'FALSE'} FROM held"


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
    from psycopg import Cursor, RawCursor  # not there where SQLite is all there is

    wrapper = connections[DEFAULT_DB_ALIAS]
    wrapper.ensure_connection()
    wrapper.validate_no_broken_transaction()
    numbered = _numbered(sql)
    with wrapper.wrap_database_errors, (RawCursor if numbered else Cursor)(wrapper.connection) as cursor:
        cursor.execute(numbered or sql, params, prepare=True)
        return cursor.fetchall()


@cache
def _numbered(sql: str) -> str:
    """The statement as PostgreSQL writes places; psycopg would look for them in each long one anew.

    Empty if one of its values has to travel as bytes, which cannot be said so.
    """
    if "%b" in sql.replace("%%", ""):
        return ""
    numbers = itertools.count(1)

    def place(found: re.Match[str]) -> str:
        return "%" if found[0] == "%%" else f"${next(numbers)}"

    return re.sub("%[%s]", place, sql)


def _write_sqlite(columns: Columns, rows: Sequence[Row], update: str, then: Sequence[str]) -> Held:
    with transaction.atomic(), connection.cursor() as cursor:
        relation, params = relations.values("x", columns, rows)
        cursor.execute(f"{relation} {update} RETURNING id", params)
        held = Held(UUID(row[0]) for row in cursor.fetchall())
        held.asked = True  # for whoever asks: a look costs nothing here
        moved = [row for row in rows if row["attempt_id"] in held]
        if moved:
            relation, params = relations.values("m", columns, moved)
            for statement in then:
                cursor.execute(f"{relation} {statement}", params)
    return held


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

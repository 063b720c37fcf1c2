"""SQL that Django made once and that is sent again and again: to make it takes longer than to run it.

For the few statements that every idle worker repeats for ever. Everything else asks the ORM.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.db.models import QuerySet
from django.db.models.sql import UpdateQuery


class _Kept:
    """A statement with its values. It is made without a connection, and asks for one when first sent."""

    def __init__(self, sql: str, params: Sequence[Any]) -> None:
        self._sql, self._is_fixed = sql, False
        self._params: Sequence[Any] | None = params

    def send(self, cursor: CursorWrapper) -> None:
        """Run it."""
        if not self._is_fixed:
            self._fix(cursor)
        cursor.execute(self._sql, self._params)

    def _fix(self, cursor: CursorWrapper) -> None:
        """On SQLite, put the values into the text, as SQLite itself quotes them.

        It makes a new plan whenever a value is bound that a partial index may depend on, even the same one:
        for most of these statements nine tenths of what they cost.
        """
        if connection.vendor == "sqlite" and self._params:
            cursor.execute(f"SELECT {', '.join(['quote(%s)'] * len(self._params))}", self._params)
            self._sql, self._params = self._sql % cursor.fetchone(), None
        self._is_fixed = True


class KeptQuery:
    """The rows of a queryset as the driver reads them: a UUID is text on SQLite, JSON is text everywhere.

    Moments are the database's (`Now()`), so they are of each run.
    """

    def __init__(self, rows: QuerySet[Any, Any]) -> None:
        self._statement = _Kept(*rows.query.sql_with_params())

    def rows(self) -> list[tuple[Any, ...]]:
        """Run it."""
        with connection.cursor() as cursor:
            self._statement.send(cursor)
            return list(cursor.fetchall())


class KeptUpdate:
    """`rows.update(**changes)`, with the same values each time."""

    def __init__(self, rows: QuerySet[Any, Any], **changes: Any) -> None:
        query: Any = rows.query.chain(UpdateQuery)
        query.add_update_values(changes)
        self._statement = _Kept(*query.get_compiler(connection=connection).as_sql())

    def run(self) -> int:
        """Run it; how many rows it changed."""
        with connection.cursor() as cursor:
            self._statement.send(cursor)
            changed: int = cursor.rowcount
            return changed

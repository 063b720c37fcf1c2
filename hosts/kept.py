"""SQL that Django made once and that is sent again and again: to make it takes longer than to run it.

For the few statements that every idle worker repeats for ever. Everything else asks the ORM.
"""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.db.models import QuerySet
from django.db.models.sql import UpdateQuery


class KeptQuery:
    """The rows of a queryset as the driver reads them: a UUID is text on SQLite, JSON is text everywhere.

    Made with an open connection; moments are the database's (`Now()`), so they are of each run.
    """

    def __init__(self, rows: QuerySet[Any, Any]) -> None:
        self._sql, self._params = rows.query.sql_with_params()

    def rows(self) -> list[tuple[Any, ...]]:
        """Run it."""
        with connection.cursor() as cursor:
            cursor.execute(self._sql, self._params)
            return list(cursor.fetchall())


class KeptUpdate:
    """`rows.update(**changes)`, with the same values each time."""

    def __init__(self, rows: QuerySet[Any, Any], **changes: Any) -> None:
        query: Any = rows.query.chain(UpdateQuery)
        query.add_update_values(changes)
        self._sql, self._params = query.get_compiler(connection=connection).as_sql()

    def run(self) -> int:
        """Run it; how many rows it changed."""
        with connection.cursor() as cursor:
            cursor.execute(self._sql, self._params)
            changed: int = cursor.rowcount
            return changed

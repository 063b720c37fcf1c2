"""A job's place in the list, which is ordered by (created_at, id), newest first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BooleanField, DateTimeField, Func, QuerySet, UUIDField, Value
from django.db.models.sql.compiler import SQLCompiler

from jobs.models import ContainerJob

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

NEWEST_FIRST = ("-created_at", "-id")
OLDEST_FIRST = ("created_at", "id")


def along(
    jobs: QuerySet[ContainerJob], column: str, value: Any, *, newest_first: bool = True
) -> QuerySet[ContainerJob]:
    """The jobs that have a value in a column, in the order of the list, by the index of that column.

    `column` is empty for all jobs. The order says the column, too, which changes nothing but that no other
    index has this order: else PostgreSQL, which takes values to be spread evenly, may walk through all that
    are newer than the first with this one.
    """
    order = NEWEST_FIRST if newest_first else OLDEST_FIRST
    if not column:
        return jobs.order_by(*order)
    return jobs.filter(Has(column, value)).order_by(column if newest_first else f"-{column}", *order)


@dataclass(frozen=True, slots=True)
class Key:
    """A place; it stays one when its job is deleted. As text it fits into an address."""

    created_at: datetime
    id: UUID

    def __str__(self) -> str:
        return f"{(self.created_at - _EPOCH) // _MICROSECOND}-{self.id.hex}"

    @classmethod
    def of(cls, job: ContainerJob) -> Key:
        """Where a job stands."""
        return cls(job.created_at, job.pk)

    @classmethod
    def parse(cls, text: str) -> Key | None:
        """What `str` gave; None for anything else."""
        micros, _, name = text.partition("-")
        try:
            return cls(_EPOCH + int(micros) * _MICROSECOND, UUID(name))
        except (ValueError, OverflowError):
            return None


class Has(Func):
    """A condition: a column has a value, said so that PostgreSQL keeps the column in the order."""

    output_field = BooleanField()
    conditional = True
    template = "%(expressions)s"
    arg_joiner = " = "

    def __init__(self, column: str, value: Any) -> None:
        field: Any = ContainerJob._meta.get_field(column)
        target = getattr(field, "target_field", field)  # a key of another table is that table's
        super().__init__(column, Value(value, output_field=target))

    def as_postgresql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **_context: Any
    ) -> tuple[str, tuple[Any, ...]]:
        """As a list of one."""
        (column, _), (value, params) = (compiler.compile(one) for one in self.get_source_expressions())
        return f"{column} = ANY(ARRAY[{value}])", tuple(params)


class Stands(Func):
    """A condition: the job's place `<`, `<=`, `>` or `>=` a key, as one comparison of rows.

    An index on (created_at, id) answers that; `created_at < x OR (created_at = x AND id < y)` it does not.
    """

    output_field = BooleanField()
    conditional = True

    def __init__(self, operator: str, key: Key) -> None:
        """`operator` is one of the four."""
        moment = Value(key.created_at, output_field=DateTimeField())
        super().__init__("created_at", "id", moment, Value(key.id, output_field=UUIDField()))
        self._operator = operator

    def as_sql(  # type: ignore[override]  # it has no arguments of a template
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **_context: Any
    ) -> tuple[str, tuple[Any, ...]]:
        (at, _), (pk, _), (moment, one), (name, two) = self._compiled(compiler)
        return f"({at}, {pk}) {self._operator} ({moment}, {name})", (*one, *two)

    def as_sqlite(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **_context: Any
    ) -> tuple[str, tuple[Any, ...]]:
        """By the stored text: SQLite writes a moment of its own in another way than Django does."""
        (at, _), (pk, _), (moment, one), (name, two) = self._compiled(compiler)
        table = ContainerJob._meta.db_table
        stored = f'COALESCE((SELECT x.created_at FROM "{table}" x WHERE x.id = {name}), {moment})'
        return f"({at}, {pk}) {self._operator} ({stored}, {name})", (*two, *one, *two)

    def _compiled(self, compiler: SQLCompiler) -> list[tuple[str, Any]]:
        return [compiler.compile(one) for one in self.get_source_expressions()]

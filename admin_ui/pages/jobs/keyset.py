"""A job's place in the list, which is ordered by (created_at, id), newest first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BooleanField, DateTimeField, Func, UUIDField, Value
from django.db.models.sql.compiler import SQLCompiler

from jobs.models import ContainerJob

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

NEWEST_FIRST = ("-created_at", "-id")
OLDEST_FIRST = ("created_at", "id")


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

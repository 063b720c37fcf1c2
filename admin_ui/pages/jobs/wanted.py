"""Which jobs are wanted: the conditions of a search, apart from where in the list it looks. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, FloatField, Func, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Now
from django.db.models.sql.compiler import SQLCompiler

from jobs.models import Attempt, ContainerJob


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a job must be; None and empty: anything.

    `host_id` is the host it is pinned to, or where its newest attempt runs or ran. `longer_than_seconds` is
    how long it has run. `exit_codes_but_0` wants any other than 0. `template_ids` are those whose name has
    `text` in it, `key_template_ids` those that share the limit or ask for the label `key`.
    """

    job_id: UUID | None = None
    status: str = ""
    template_id: UUID | None = None
    host_id: UUID | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    longer_than_seconds: float | None = None
    exit_code: int | None = None
    exit_codes_but_0: bool = False
    text: str = ""
    template_ids: tuple[UUID, ...] = ()
    key: str = ""
    key_template_ids: tuple[UUID, ...] = ()

    def range(self) -> Q:
        """The part of the list that it may be in."""
        found = Q()
        if self.created_from:
            found &= Q(created_at__gte=self.created_from)
        if self.created_to:
            found &= Q(created_at__lte=self.created_to)
        return found

    def indexed(self) -> dict[str, Any]:
        """Columns and their values, by each of which an index holds the jobs in the order of the list."""
        found: dict[str, Any] = {}
        if self.status:
            found["status"] = self.status
        if self.template_id:
            found["template_id"] = self.template_id
        return found

    def others(self) -> list[Q]:
        """Conditions that have to be looked at job by job; see `prepared`."""
        found = []
        if self.host_id:
            found.append(Q(docker_host_id=self.host_id) | Q(newest_host=self.host_id))
        if self.longer_than_seconds is not None:
            found.append(Q(lasted__gt=self.longer_than_seconds))
        if self.exit_code is not None:
            found.append(Q(exit_code=self.exit_code))
        if self.exit_codes_but_0:
            found.append(Q(exit_code__isnull=False) & ~Q(exit_code=0))
        if self.text:
            found.append(Q(name__icontains=self.text) | Q(template_id__in=self.template_ids))
        if self.key:
            found.append(Q(limit_key=self.key) | Q(template_id__in=self.key_template_ids))
        return found

    def prepared(self, jobs: QuerySet[ContainerJob]) -> QuerySet[ContainerJob]:
        """The jobs with what `others` refers to."""
        if self.host_id:
            newest = Attempt.objects.filter(job=OuterRef("pk"), number=OuterRef("attempt_count"))
            jobs = jobs.alias(newest_host=Subquery(newest.values("host_id")[:1]))
        if self.longer_than_seconds is not None:
            jobs = jobs.alias(lasted=Lasted())
        return jobs


class Lasted(Func):
    """How many seconds a job has run; NULL if it was not started.

    Django's own difference of moments is a function in Python on SQLite, called for each row.
    """

    output_field = FloatField()

    def __init__(self) -> None:
        super().__init__(F("started_at"), F("completed_at"), Now())

    def as_sql(  # type: ignore[override]  # it has no arguments of a template
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **_context: Any
    ) -> tuple[str, tuple[Any, ...]]:
        started, completed, now = self._compiled(compiler)
        return f"EXTRACT(EPOCH FROM COALESCE({completed}, {now}) - {started})", ()

    def as_sqlite(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **_context: Any
    ) -> tuple[str, tuple[Any, ...]]:
        started, completed, now = self._compiled(compiler)
        return f"((julianday(COALESCE({completed}, {now})) - julianday({started})) * 86400.0)", ()

    def _compiled(self, compiler: SQLCompiler) -> list[str]:
        return [compiler.compile(one)[0] for one in self.get_source_expressions()]

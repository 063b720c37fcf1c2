"""What a load balancer may ask of a web process. Nothing here ever calls an engine.

The checks are coroutines on purpose: a synchronous one runs on an executor's thread outside of the request,
where Django never closes its database connection.
"""

from __future__ import annotations

import dataclasses
import datetime
from typing import ClassVar

from asgiref.sync import sync_to_async
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from health_check.base import HealthCheck
from health_check.exceptions import ServiceUnavailable

# Left out of the labels by repr=False: a limit is no name of a check.
_TIMEOUT = datetime.timedelta(seconds=3)


@dataclasses.dataclass
class DatabaseAnswers(HealthCheck):
    """The database answers a query."""

    timeout: datetime.timedelta = dataclasses.field(default=_TIMEOUT, repr=False)

    async def run(self) -> None:
        await sync_to_async(self._ask)()

    def _ask(self) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
        except DatabaseError as exc:
            raise ServiceUnavailable("the database does not answer") from exc


@dataclasses.dataclass
class MigrationsApplied(HealthCheck):
    """Every migration of this code is applied; asked until it is so, and remembered then."""

    timeout: datetime.timedelta = dataclasses.field(default=_TIMEOUT, repr=False)
    _applied: ClassVar[bool] = False

    async def run(self) -> None:
        if MigrationsApplied._applied:
            return
        if await sync_to_async(self._missing)():
            raise ServiceUnavailable("migrations are missing; run manage.py migrate")
        MigrationsApplied._applied = True

    def _missing(self) -> bool:
        try:
            executor = MigrationExecutor(connection)
            return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))
        except DatabaseError as exc:
            raise ServiceUnavailable("the database does not answer") from exc

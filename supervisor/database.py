"""A supervisor process and its one database connection: how it is made, and waiting for it at boot."""

from __future__ import annotations

import pkgutil
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import structlog
from django.apps import apps
from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, ProgrammingError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from hosts.identity import boot_clock
from supervisor.worker.inbox import Wake

logger = structlog.get_logger(__name__)

_MISSING = {"42703", "42P01"}  # PostgreSQL's undefined_column and undefined_table

WAIT_SECONDS = 60.0
_ASK_EVERY_SECONDS = 0.5


_POSTGRES_SETTINGS = (
    "-c statement_timeout=5000 -c lock_timeout=2000 -c idle_in_transaction_session_timeout=30000"
    # Django would ask for it in a statement of its own, before anybody watches the connection.
    " -c TimeZone=UTC"
)
_POSTGRES_OPTIONS = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    # Without it, Django has psycopg ignore who asks for a prepared statement (`jobs.batches`).
    "prepare_threshold": 0,
}
# A plan that was made while a table was small is kept when it is large: by index and row by row from the
# beginning. Every statement of a worker names a few rows by their keys.
_PLANS_BY_INDEX = " -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c jit=off"
_CONNECT_SECONDS_STOPPING = 2  # the least that libpq knows
_SQLITE_BUSY_SECONDS = 2.0
_SQLITE_RETRY_SECONDS = (0.001, 0.003)


def use_own_options(*, plans_by_index: bool = False) -> None:
    """Keep the connection for ever, and let no statement or lock hold the loop up for long.

    The web process's way, a connection a request, would make one in every turn of a loop here; and SQLite's
    data version, by which the clerk sees that something changed, has a meaning within one connection only.
    """
    own = connection.settings_dict
    own["CONN_MAX_AGE"] = None
    options = own["OPTIONS"] = dict(own.get("OPTIONS", {}))
    options.pop("pool", None)
    if connection.vendor == "postgresql":
        options.update(_POSTGRES_OPTIONS)
        ours = _POSTGRES_SETTINGS + (_PLANS_BY_INDEX if plans_by_index else "")
        options["options"] = f"{options.get('options', '')} {ours}".strip()
    else:
        options["timeout"] = _SQLITE_BUSY_SECONDS  # while connecting
        connection_created.connect(_wait_in_our_own_way)
        connection.execute_wrappers.append(_retry_while_locked)
    connection.close()  # one that is open already was made without them


def _wait_in_our_own_way(*, connection: BaseDatabaseWrapper, **_: Any) -> None:
    connection.connection.execute("PRAGMA busy_timeout = 0")


def _retry_while_locked(
    execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]
) -> Any:
    """Wait for another writer, looking every other millisecond.

    SQLite's own waits grow to 100 ms, so whoever has waited long loses to those who came just now: with 8
    writers that are never idle the longest wait was 1.1 s, and is 0.2 s so (p99 229 and 91 ms).
    """
    until = boot_clock() + _SQLITE_BUSY_SECONDS
    while True:
        try:
            return execute(sql, params, many, context)
        except OperationalError as exc:
            code = getattr(exc.__cause__, "sqlite_errorcode", 0) & 0xFF  # the rest of it says why
            if code != sqlite3.SQLITE_BUSY or boot_clock() >= until:
                raise
        time.sleep(random.uniform(*_SQLITE_RETRY_SECONDS))


def hurry(wrapper: Any = connection) -> None:
    """We are stopping: wait no longer than need be for a connection (`wrapper`: another thread's)."""
    if wrapper.vendor == "postgresql":
        wrapper.settings_dict["OPTIONS"]["connect_timeout"] = _CONNECT_SECONDS_STOPPING


def wait_for(tick: Callable[[], bool], wake: Wake, *, seconds: float = WAIT_SECONDS) -> bool:
    """Wait until the database answers and has every migration; False if told to stop, or not in time."""
    until = boot_clock() + seconds
    said = ""
    while tick():
        trouble = trouble_with_database()
        if not trouble:
            return True
        if trouble != said:
            logger.warning("waiting for the database", reason=trouble)
            said = trouble
        if boot_clock() >= until:
            logger.error("the database did not come", reason=trouble, waited_seconds=seconds)
            return False
        wake.wait(_ASK_EVERY_SECONDS)
    return False


@cache
def known_migrations() -> frozenset[tuple[str, str]]:
    """Every migration of this code, by the names of its files. The database is not asked.

    To import them all takes ten times as long, and 2.7 MiB of each child.
    """
    return frozenset(
        (label, module.name)
        for label, package in _migration_packages()
        for module in pkgutil.iter_modules(package.__path__)
        if not module.ispkg and module.name[0] not in "_~"
    )


def _migration_packages() -> Iterator[tuple[str, ModuleType]]:
    for config in apps.get_app_configs():
        name = settings.MIGRATION_MODULES.get(config.label, f"{config.name}.migrations")
        if name and find_spec(name):
            yield config.label, import_module(name)


def trouble_with_database() -> str:
    """Why it cannot be worked with, or an empty string."""
    try:
        if known_migrations() <= _applied_migrations():
            return ""
        missing = _missing_migrations()
    except (DatabaseError, InterfaceError) as exc:
        connection.close()
        return " ".join(str(exc).split())
    return f"{missing} migrations are missing; run `manage.py migrate`" if missing else ""


def is_of_another_version(error: ProgrammingError) -> bool:
    """Whether a table or column is missing that this code knows: the schema was migrated past it."""
    return getattr(error.__cause__, "sqlstate", None) in _MISSING


def _applied_migrations() -> set[tuple[str, str]]:
    """What the database says it has; nothing where its table of migrations is missing."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT app, name FROM django_migrations")
            return set(cursor.fetchall())
    except (ProgrammingError, OperationalError):
        if "django_migrations" in connection.introspection.table_names():
            raise
        return set()


def _missing_migrations() -> int:
    """How many would be applied now. Names alone say too much: a squashed one stands for others."""
    # Imported only where something is amiss: no process shall wait for it, and hold it, otherwise.
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))

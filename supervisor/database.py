"""A supervisor process and its one database connection: how it is made, and waiting for it at boot."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import structlog
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from hosts.identity import boot_clock
from supervisor.worker.inbox import Wake

logger = structlog.get_logger(__name__)

WAIT_SECONDS = 60.0
_ASK_EVERY_SECONDS = 0.5


_POSTGRES_OPTIONS = (
    "-c statement_timeout=5000 -c lock_timeout=2000 -c idle_in_transaction_session_timeout=30000"
)
_SQLITE_BUSY_SECONDS = 2


def use_own_options() -> None:
    """Keep the connection for ever, and let no statement or lock hold the loop up for long.

    The web process's way, a connection a request, would make one in every turn of a loop here; and SQLite's
    data version, by which the clerk sees that something changed, has a meaning within one connection only.
    """
    settings = connection.settings_dict
    settings["CONN_MAX_AGE"] = None
    options = settings["OPTIONS"] = dict(settings.get("OPTIONS", {}))
    options.pop("pool", None)
    if connection.vendor == "postgresql":
        options["options"] = f"{options.get('options', '')} {_POSTGRES_OPTIONS}".strip()
    else:
        options["timeout"] = _SQLITE_BUSY_SECONDS


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
    """Every migration of this code. The database is not asked.

    Called in the master, so that its children share what is read for it: 2.7 MiB each.
    """
    return frozenset(MigrationLoader(None).graph.nodes)


def trouble_with_database() -> str:
    """Why it cannot be worked with, or an empty string."""
    try:
        if known_migrations() <= MigrationRecorder(connection).applied_migrations().keys():
            return ""
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as exc:
        connection.close()
        return " ".join(str(exc).split())
    return f"{len(missing)} migrations are missing; run `manage.py migrate`" if missing else ""

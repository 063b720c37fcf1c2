"""How the clerk learns that there is something to do: PostgreSQL tells, SQLite is looked at cheaply."""

from __future__ import annotations

import os
from typing import Protocol

import structlog
from django.db import connection
from django.db.models.functions import Now

from hosts.models import HostRequest
from hosts.wakeups import ANY, CHANNEL, SUPERVISORS
from jobs.models import ContainerJob
from supervisor.worker.inbox import Wake

logger = structlog.get_logger(__name__)

_SQLITE_LOOK_SECONDS = 0.05


class Listener(Protocol):
    """`patience` is how long it can be left alone, in seconds."""

    patience: float

    def take(self) -> list[str]:
        """Whom to wake: ids of hosts, or "any", and perhaps "supervisors"; each once."""

    def close(self) -> None:
        """Stop listening."""


class PostgresListener:
    """LISTEN on the clerk's own connection; the connection's socket ends the clerk's wait."""

    patience = float("inf")

    def __init__(self, wake: Wake) -> None:
        connection.ensure_connection()
        self._raw = connection.connection
        with connection.cursor() as cursor:
            cursor.execute(f"LISTEN {CHANNEL}")
        self._wake, self._descriptor = wake, os.dup(self._raw.fileno())
        wake.watch(self._descriptor)
        self._missed = True

    def take(self) -> list[str]:
        """What was told; once everybody, for what was said before this listened."""
        with connection.wrap_database_errors:
            hosts = {notice.payload for notice in self._raw.notifies(timeout=0)}
        if self._missed:
            self._missed = False
            hosts.add(ANY)
        # "Any" says it of every host, but not of the supervisors themselves.
        return [ANY, *hosts & {SUPERVISORS}] if ANY in hosts else sorted(hosts)

    def close(self) -> None:
        """Stop waiting on the socket; the connection is closed by its owner."""
        self._wake.unwatch(self._descriptor)
        os.close(self._descriptor)


class SqliteListener:
    """Looks at the file's data version, which costs 2 µs, and at the tables only when it has changed."""

    patience = _SQLITE_LOOK_SECONDS

    def __init__(self) -> None:
        self._version = -1

    def take(self) -> list[str]:
        """Everybody, if the database has changed and there is work in it."""
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA data_version")
            (version,) = cursor.fetchone()
        if version == self._version:
            return []
        self._version = version
        return [ANY] if self._is_work() else []

    def _is_work(self) -> bool:
        return (
            ContainerJob.objects.pending().filter(hold="").exists()
            or ContainerJob.objects.open().filter(cancel_requested_at__isnull=False).exists()
            or HostRequest.objects.filter(taken_at=None, expires_at__gt=Now()).exists()
        )

    def close(self) -> None:
        """Nothing is held."""


def listener(wake: Wake) -> Listener:
    """The right one for the database."""
    return PostgresListener(wake) if connection.vendor == "postgresql" else SqliteListener()

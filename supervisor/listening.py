"""How the clerk learns that there is something to do: PostgreSQL tells, on SQLite its file does."""

from __future__ import annotations

import os
from typing import Protocol
from uuid import UUID

import structlog
from django.db import connection
from django.db.models import CharField, Value
from django.db.models.functions import Now

from hosts.kept import KeptQuery
from hosts.models import HostRequest
from hosts.wakeups import ANY, CHANNEL, SUPERVISORS
from jobs.models import Attempt, ContainerJob
from supervisor.sqlite_news import SqliteNews
from supervisor.worker.inbox import Wake

logger = structlog.get_logger(__name__)

_MOST = 200


class Listener(Protocol):
    """Made with an open connection, and gone with it."""

    def wait(self, seconds: float) -> None:
        """Wait so long, or until there may be something to take, or until somebody else wakes the clerk."""

    def take(self) -> list[str]:
        """Whom to wake: ids of hosts, or "any", and perhaps "supervisors"; each once."""

    def close(self) -> None:
        """Stop listening."""


class PostgresListener:
    """LISTEN on the clerk's own connection; the connection's socket ends the clerk's wait."""

    def __init__(self, wake: Wake) -> None:
        connection.ensure_connection()
        self._raw = connection.connection
        with connection.cursor() as cursor:
            cursor.execute(f"LISTEN {CHANNEL}")
        self._wake, self._descriptor = wake, os.dup(self._raw.fileno())
        wake.watch(self._descriptor)
        self._heard = {ANY}  # for what was said before this listened

    def wait(self, seconds: float) -> None:
        """Wait on the connection too.

        What came in while the clerk asked something of its own is not on the socket any more: that is heard
        first, or it would be heard with the next that comes.
        """
        self._hear()
        if not self._heard:
            self._wake.wait(seconds)

    def take(self) -> list[str]:
        """What was told since the last time."""
        self._hear()
        hosts, self._heard = self._heard, set()
        # "Any" says it of every host, but not of the supervisors themselves.
        return [ANY, *hosts & {SUPERVISORS}] if ANY in hosts else sorted(hosts)

    def _hear(self) -> None:
        with connection.wrap_database_errors:
            self._heard.update(notice.payload for notice in self._raw.notifies(timeout=0))

    def close(self) -> None:
        """Stop waiting on the socket; the connection is closed by its owner."""
        self._wake.unwatch(self._descriptor)
        os.close(self._descriptor)


class SqliteListener:
    """Looks at the tables when somebody has written to the file.

    What it saw the last time wakes nobody again: a job that no worker can take would, with every write of
    anybody's, make all of them look for it.
    """

    def __init__(self, wake: Wake) -> None:
        self._news = SqliteNews(wake)
        self._seen: dict[str, str] = {}
        waiting = ContainerJob.objects.pending().filter(hold="").exclude(not_before_at__gt=Now())
        cancelled = ContainerJob.objects.open().filter(cancel_requested_at__isnull=False)
        watched = Attempt.objects.open().filter(watched_until__gt=Now())
        asked = HostRequest.objects.filter(taken_at=None, expires_at__gt=Now())
        self._looks = [
            KeptQuery(waiting.order_by().values_list("pk", "docker_host")[:_MOST]),
            KeptQuery(cancelled.order_by().values_list("pk", Value(None, CharField()))[:_MOST]),
            KeptQuery(asked.order_by().values_list("pk", "host")[:_MOST]),
            KeptQuery(watched.order_by().values_list("pk", "host")[:_MOST]),
        ]

    def wait(self, seconds: float) -> None:
        """Wait, with an eye on the file."""
        self._news.wait(seconds)

    def take(self) -> list[str]:
        """The hosts of work that was not there the last time, if the file has changed; at first, of all."""
        if not self._news.is_there:
            return []
        self._news.take()
        found = [look.rows() for look in self._looks]
        work = {key: str(UUID(host)) if host else ANY for rows in found for key, host in rows}
        hosts = {host for key, host in work.items() if key not in self._seen}
        self._seen = work
        # What lies behind the rows that were looked at may be new.
        return [ANY] if ANY in hosts or max(map(len, found)) == _MOST else sorted(hosts)

    def close(self) -> None:
        """Watch the file no more."""
        self._news.close()


def listener(wake: Wake) -> Listener:
    """The right one for the database."""
    return PostgresListener(wake) if connection.vendor == "postgresql" else SqliteListener(wake)

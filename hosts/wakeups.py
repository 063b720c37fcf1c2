"""Waking workers as soon as there is something to do.

On PostgreSQL a NOTIFY goes out when the transaction commits, and the clerk of every supervisor listens. On
SQLite the clerk watches the file's data version instead, so nothing needs to be sent. Either way a wake-up
is only a hint: workers look by themselves every few seconds, and a lost one costs that long.
"""

from __future__ import annotations

from uuid import UUID

from django.db import connection, transaction

CHANNEL = "tallyman_wakeups"
ANY = "any"
SUPERVISORS = "supervisors"


def notify(host_id: UUID | None) -> None:
    """Wake the worker of one host, or (None) all of them, once the transaction has committed."""
    if connection.vendor == "postgresql":
        # Robust: the job is committed, and a hint that was not sent must not look like a failed submission.
        transaction.on_commit(lambda: _send(str(host_id) if host_id else ANY), robust=True)


def notify_supervisors() -> None:
    """Let every supervisor look for what is asked of it, once the transaction has committed."""
    if connection.vendor == "postgresql":
        transaction.on_commit(lambda: _send(SUPERVISORS), robust=True)


def _send(payload: str) -> None:
    # After the commit, in a statement of its own: a NOTIFY inside takes a lock of the whole database.
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, payload])

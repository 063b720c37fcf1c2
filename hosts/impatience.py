"""How long a migration waits for a lock on PostgreSQL.

A migration that waits for its table makes everybody wait who comes after it, readers too. So it gives up
soon, with nothing changed, and is run again. Who has set a `lock_timeout` (`PGOPTIONS`, say) is heard.
"""

from __future__ import annotations

from typing import Any

from django.db import connections

LOCK_TIMEOUT_SECONDS = 5


def begin(*, using: str, **_signal: Any) -> None:
    """Before migrations: wait no longer for a lock than this."""
    _change(using, before="0", after=f"{LOCK_TIMEOUT_SECONDS}s")


def end(*, using: str, **_signal: Any) -> None:
    """After migrations: the connection is as it was."""
    _change(using, before=f"{LOCK_TIMEOUT_SECONDS}s", after="0")


def _change(using: str, *, before: str, after: str) -> None:
    connection = connections[using]
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('lock_timeout', %s, false) WHERE current_setting('lock_timeout') = %s",
            [after, before],
        )

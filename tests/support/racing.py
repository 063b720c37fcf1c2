"""Threads with a database connection each, for tests of what happens at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from django.db import connection

from tests.support.waiting import wait_until

Value = TypeVar("Value")
PATIENCE_SECONDS = 30
# Shorter, so that a test in which two wait for each other fails instead of hanging.
LOCK_TIMEOUT_SECONDS = 15


def race(count: int, work: Callable[[int], Value]) -> list[Value]:
    """What `work(0)` to `work(count - 1)` return, started together; the first error is raised."""
    line = threading.Barrier(count)

    def run(number: int) -> Value:
        connection.ensure_connection()
        line.wait(PATIENCE_SECONDS)
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        futures = [pool.submit(_with_own_connection, run, number) for number in range(count)]
        return [future.result(PATIENCE_SECONDS) for future in futures]


@contextmanager
def in_background(work: Callable[..., Value], *arguments: Any) -> Iterator[Future[Value]]:
    """Runs `work` in a thread while the block runs, and waits for it at the block's end."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(_with_own_connection, work, *arguments)
        yield future
        future.result(PATIENCE_SECONDS)


def wait_until_blocked() -> None:
    """Until a session of this PostgreSQL database waits for another one's lock."""
    wait_until(someone_waits, timeout_seconds=LOCK_TIMEOUT_SECONDS, what="a session to wait for a lock")


def someone_waits() -> bool:
    """Whether a session of this PostgreSQL database waits for another one's lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # else a transaction is shown one moment only
        cursor.execute(
            "SELECT EXISTS (SELECT 1 FROM pg_stat_activity "
            "WHERE datname = current_database() AND wait_event_type = 'Lock')"
        )
        return bool(cursor.fetchone()[0])


def _with_own_connection(work: Callable[..., Value], *arguments: Any) -> Value:
    try:
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(f"SET lock_timeout = '{LOCK_TIMEOUT_SECONDS}s'")
        return work(*arguments)
    finally:
        connection.close()

"""How a supervisor's processes wait for another writer of a SQLite file."""

from __future__ import annotations

import contextlib
import sqlite3
import statistics
import threading
import time
from collections.abc import Iterator

import pytest
from django.db import connection, transaction
from django.db.backends.signals import connection_created

from supervisor import database

pytestmark = [pytest.mark.sqlite_only, pytest.mark.django_db(transaction=True)]

# SQLite's own wait sleeps from 328 ms to 428 ms after its beginning.
_HELD_SECONDS = 0.34


@pytest.fixture
def own_options() -> Iterator[None]:
    """The connection as a worker makes it."""
    before = connection.settings_dict["OPTIONS"], connection.settings_dict["CONN_MAX_AGE"]
    database.use_own_options()
    yield
    connection.execute_wrappers.remove(database._retry_while_locked)
    connection_created.disconnect(database._wait_in_our_own_way)
    connection.settings_dict["OPTIONS"], connection.settings_dict["CONN_MAX_AGE"] = before
    connection.close()


def seconds_after_the_rival() -> float:
    """How long after a rival's commit we have the write lock that we have waited for meanwhile."""
    held, freed = threading.Event(), list[float]()

    def rival() -> None:
        with contextlib.closing(sqlite3.connect(connection.settings_dict["NAME"])) as other:
            other.execute("BEGIN IMMEDIATE")
            held.set()
            time.sleep(_HELD_SECONDS)
            freed.append(time.monotonic())
            other.commit()

    thread = threading.Thread(target=rival)
    thread.start()
    held.wait(5)
    with transaction.atomic():
        got = time.monotonic()
    thread.join()
    return got - freed[0]


def test_who_has_waited_long_gets_the_lock_as_soon_as_it_is_free(own_options: None) -> None:
    connection.ensure_connection()
    assert statistics.median(seconds_after_the_rival() for _ in range(5)) < 0.03

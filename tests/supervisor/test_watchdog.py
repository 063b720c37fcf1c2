"""A database that hangs in the middle of a call: the call ends, and the next one works."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from django.db import OperationalError, connection, transaction
from django.db.backends.signals import connection_created

from supervisor import watchdog
from supervisor.watchdog import Watchdog
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.postgres_only, pytest.mark.django_db(transaction=True)]

AT_ONCE_SECONDS = 3.0


class Watched:
    """A watched connection; what is told is remembered."""

    def __init__(self) -> None:
        self.stopping = False
        self.told = 0
        connection.close()
        self.watchdog = Watchdog(is_stopping=lambda: self.stopping, progress=self._tell)

    def _tell(self) -> None:
        self.told += 1


@pytest.fixture
def watched(transactional_db: None) -> Iterator[Watched]:
    watched = Watched()
    yield watched
    connection_created.disconnect(watched.watchdog._watch)
    connection.close()
    wait_until(no_call_is_left, what="the server to give up calls that nobody waits for")
    connection.close()


def no_call_is_left() -> bool:
    ours = "datname = current_database() AND pid <> pg_backend_pid()"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {ours}")
        return not cursor.fetchall()


def sleep(seconds: float) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(%s)", [seconds])


def answer() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return int(cursor.fetchone()[0])


def test_a_call_that_takes_too_long_ends_and_the_next_one_works(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "CALL_SECONDS", 0.5)
    began = time.monotonic()
    with pytest.raises(OperationalError):
        sleep(30)
    assert time.monotonic() - began < AT_ONCE_SECONDS
    connection.close()
    assert answer() == 1


def test_a_commit_that_takes_too_long_ends_too(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "CALL_SECONDS", 0.5)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE slow (n int)")
        cursor.execute(
            "CREATE FUNCTION slow_commit() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_sleep(30); RETURN NULL; END $$"
        )
        cursor.execute(
            "CREATE CONSTRAINT TRIGGER slow_commit AFTER INSERT ON slow "
            "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow_commit()"
        )
    began = time.monotonic()
    with pytest.raises(OperationalError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("INSERT INTO slow VALUES (1)")
    assert time.monotonic() - began < AT_ONCE_SECONDS
    connection.close()
    wait_until(no_call_is_left)
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE slow")
        cursor.execute("DROP FUNCTION slow_commit")


def test_who_is_stopping_waits_for_a_second_only(watched: Watched) -> None:
    watched.stopping = True
    began = time.monotonic()
    with pytest.raises(OperationalError):
        sleep(30)
    assert 0.9 < time.monotonic() - began < AT_ONCE_SECONDS


def test_a_slow_call_is_progress_and_many_quick_ones_in_a_turn_are_not(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "_SLOW_SECONDS", 0.2)
    for _ in range(20):
        answer()
    assert watched.told == 0
    sleep(0.3)
    assert watched.told == 1


def test_quick_calls_in_a_row_are_not_taken_for_a_long_one(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "CALL_SECONDS", 0.5)
    began = time.monotonic()
    while time.monotonic() - began < 1.2:
        sleep(0.01)

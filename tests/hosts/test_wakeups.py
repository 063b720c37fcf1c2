"""Who is woken when: after the commit, and never by what was rolled back."""

from __future__ import annotations

import uuid

import psycopg
import pytest
from django.db import connection, transaction

from hosts import wakeups
from tests.support import databases

HOST = uuid.UUID("01890000-0000-7000-8000-00000000000a")

on_postgresql = [pytest.mark.postgres_only, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def listener(transactional_db):
    with psycopg.connect(databases.url_of_test_database(), autocommit=True) as session:
        session.execute(f"LISTEN {wakeups.CHANNEL}")
        yield session


def heard(listener) -> list[str]:
    """Every payload up to now; a marker of our own says that nothing more is under way."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, 'marker')", [wakeups.CHANNEL])
    payloads = []
    for notice in listener.notifies(timeout=5):
        if notice.payload == "marker":
            return payloads
        payloads.append(notice.payload)
    raise AssertionError("the marker did not arrive")


class TestOnPostgresql:
    pytestmark = on_postgresql

    def test_a_wakeup_names_the_host_or_any(self, listener):
        wakeups.notify(HOST)
        wakeups.notify(None)
        assert heard(listener) == [str(HOST), "any"]

    def test_nobody_is_woken_before_the_commit(self, listener):
        with transaction.atomic():
            wakeups.notify(HOST)
            assert list(listener.notifies(timeout=0)) == []
        assert heard(listener) == [str(HOST)]

    def test_nobody_is_woken_by_what_was_rolled_back(self, listener):
        with transaction.atomic():
            wakeups.notify(HOST)
            transaction.set_rollback(True)
        assert heard(listener) == []


@pytest.mark.sqlite_only
@pytest.mark.django_db(transaction=True)
def test_on_sqlite_nothing_is_sent(django_assert_num_queries):
    with django_assert_num_queries(0):
        wakeups.notify(HOST)

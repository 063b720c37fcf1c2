"""Migrations on PostgreSQL do not make everybody wait behind them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.models.signals import pre_migrate

pytestmark = [pytest.mark.postgres_only, pytest.mark.django_db(transaction=True)]


def lock_timeout() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        return cursor.fetchone()[0]


@pytest.fixture
def seen() -> Iterator[list[str]]:
    """What the setting was before the migrations of each app."""
    moments: list[str] = []

    def look(**_signal: Any) -> None:
        moments.append(lock_timeout())

    pre_migrate.connect(look)
    yield moments
    pre_migrate.disconnect(look)


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    yield
    with connection.cursor() as cursor:
        cursor.execute("RESET lock_timeout")


def test_they_give_up_a_lock_soon_and_leave_the_connection_as_it_was(seen: list[str]) -> None:
    before = lock_timeout()
    call_command("migrate", verbosity=0)
    assert seen[-1] == "5s"
    assert lock_timeout() == before


def test_the_time_that_somebody_has_set_is_kept(seen: list[str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '1s'")
    call_command("migrate", verbosity=0)
    assert set(seen) == {"1s"}
    assert lock_timeout() == "1s"

"""What a supervisor asks of a database before it works with it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from supervisor import database


def test_the_migrations_known_by_name_are_those_that_django_loads() -> None:
    assert database.known_migrations() == frozenset(MigrationLoader(None).graph.nodes)


@pytest.mark.django_db
def test_a_migrated_database_is_no_trouble() -> None:
    assert database.trouble_with_database() == ""


@pytest.mark.django_db
def test_migrations_that_are_missing_are_counted() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'jobs' AND name > '0003'")
    missing = len([name for app, name in database.known_migrations() if app == "jobs" and name > "0003"])
    assert database.trouble_with_database().startswith(f"{missing} migrations are missing")


@pytest.mark.django_db(transaction=True)
def test_a_database_without_any_migration_lacks_them_all() -> None:
    with renamed("django_migrations", "elsewhere"):
        missing = len(database.known_migrations())
        assert database.trouble_with_database().startswith(f"{missing} migrations are missing")


@contextlib.contextmanager
def renamed(table: str, other: str) -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO {other}")
        try:
            yield
        finally:
            cursor.execute(f"ALTER TABLE {other} RENAME TO {table}")

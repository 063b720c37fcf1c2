"""What every test may ask for, and which tests belong to this run's database."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support import databases

pytest_plugins = ["tests.support.engine_fixtures", "tests.support.aws_fixtures", "tests.faults.bench"]


def pytest_report_header() -> str:
    return f"database: {databases.chosen()}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests of the other database, and those without one if an earlier pass ran them."""
    soaks = "soak" in config.getoption("markexpr", "")
    leaving = [
        item for item in items if not _belongs_here(item) or (item.get_closest_marker("soak") and not soaks)
    ]
    if leaving:
        config.hook.pytest_deselected(items=leaving)
        items[:] = [item for item in items if item not in leaving]


def _belongs_here(item: pytest.Item) -> bool:
    other = {"sqlite": "postgres_only", "postgres": "sqlite_only"}[databases.chosen()]
    if item.get_closest_marker(other):
        return False
    fixtures = {"db", "transactional_db"} & set(getattr(item, "fixturenames", ()))
    return not os.environ.get(databases.AGAIN) or bool(fixtures or item.get_closest_marker("django_db"))


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings_parallel_suffix: None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """SQLite's test database is a file, as in real life: other threads and processes can open it too."""
    from django.conf import settings

    if databases.chosen() == "sqlite":
        path: Path = tmp_path_factory.mktemp("database") / "tallyman.sqlite3"
        settings.DATABASES["default"].setdefault("TEST", {})["NAME"] = str(path)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: pytest.FixtureRequest) -> None:
    """Without the triggers that keep audit rows: tests empty all tables behind them.

    `tests.audit` puts them back where it is about them.
    """
    from tests.support import audit_guards

    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        audit_guards.remove()


@pytest.fixture
def database_url(transactional_db: None) -> str:
    """The DATABASE_URL of the test database, for commands started in processes of their own."""
    return databases.url_of_test_database()

"""The forms of DATABASE_URL."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.databases import from_url


def test_a_relative_sqlite_path_starts_at_the_project_and_its_directory_is_made(tmp_path):
    database = from_url("sqlite:///var/tallyman.sqlite3", base_dir=tmp_path)
    assert database["NAME"] == str(tmp_path / "var" / "tallyman.sqlite3")
    assert (tmp_path / "var").is_dir()


def test_an_absolute_sqlite_path_stays(tmp_path):
    assert (
        from_url(f"sqlite:///{tmp_path}/a.sqlite3", base_dir=tmp_path / "b")["NAME"]
        == f"{tmp_path}/a.sqlite3"
    )


def test_sqlite_waits_for_other_writers_and_takes_its_lock_at_the_start(tmp_path):
    options = from_url("sqlite://:memory:", base_dir=tmp_path)["OPTIONS"]
    assert options["transaction_mode"] == "IMMEDIATE"
    assert options["timeout"] == 20
    assert "journal_mode=WAL" in options["init_command"]


def test_a_full_postgres_url(tmp_path):
    database = from_url("postgres://me:p%40ss@db.example:6432/tally?sslmode=require", base_dir=tmp_path)
    parts = {name: database[name] for name in ("NAME", "USER", "PASSWORD", "HOST", "PORT")}
    assert parts == {"NAME": "tally", "USER": "me", "PASSWORD": "p@ss", "HOST": "db.example", "PORT": 6432}
    assert database["OPTIONS"]["sslmode"] == "require"
    assert database["OPTIONS"]["keepalives"] == 1
    assert database["CONN_MAX_AGE"] == 0


@pytest.mark.parametrize(
    "url",
    [
        "postgres://me@/tally?host=/Run/postgresql&port=5433",
        "postgresql://me@%2FRun%2Fpostgresql/tally?port=5433",
        "postgresql:///tally?host=/Run/postgresql&port=5433",
    ],
)
def test_a_socket_directory(tmp_path, url):
    database = from_url(url, base_dir=tmp_path)
    assert (database["HOST"], database["PORT"], database["NAME"]) == ("/Run/postgresql", 5433, "tally")
    assert "host" not in database["OPTIONS"]


@pytest.mark.parametrize(
    "url", ["mysql://me:hunter2@db/tally", "postgres://me:hunter2@db:port/tally", "tally"]
)
def test_another_form_is_refused_without_showing_the_password(tmp_path, url):
    with pytest.raises(ImproperlyConfigured, match="DATABASE_URL") as refused:
        from_url(url, base_dir=tmp_path)
    assert "hunter2" not in str(refused.value)
    assert refused.value.__suppress_context__ or refused.value.__context__ is None

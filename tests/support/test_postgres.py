"""The tests' own PostgreSQL server, as fault tests use it."""

from __future__ import annotations

import time

import psycopg
import pytest

from tests.support import postgres, requirements
from tests.support.postgres import PostgresServer

pytestmark = [pytest.mark.postgres, pytest.mark.postgres_only]


@pytest.fixture(scope="module")
def server():
    if reason := postgres.unavailable():
        requirements.missing("postgres", reason)
    with PostgresServer() as server:
        yield server


@pytest.fixture
def url(server, request):
    return server.create_database(request.node.name)


def test_a_killed_server_comes_back_with_what_was_committed(server, url):
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS value")
    server.kill()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)
    server.start()
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT value FROM kept").fetchall() == [(7,)]


def test_a_paused_server_hangs_and_goes_on_later(server, url):
    server.pause()
    began = time.monotonic()
    with pytest.raises(psycopg.OperationalError, match="timeout"):
        psycopg.connect(url, connect_timeout=2)
    assert time.monotonic() - began > 1
    server.resume()
    psycopg.connect(url).close()


def test_nothing_stays_behind():
    server = PostgresServer()
    server.start()
    directory = server.directory
    server.stop()
    assert not directory.exists()

"""Which database this test run uses. Django fixes it at start-up, so a run has one; `python -m tests` runs
the suite once for each.

`TALLYMAN_TEST_DB` is `sqlite` (the default) or `postgres`.
"""

from __future__ import annotations

import atexit
import os
from urllib.parse import quote

from tests.support import postgres
from tests.support.postgres import PostgresServer

NAMES = ("sqlite", "postgres")
# Set in a pass that is not the first: tests without a database have been run then.
AGAIN = "TALLYMAN_TEST_AGAIN"
SERVER_URL = "TALLYMAN_TEST_POSTGRES_URL"


def chosen() -> str:
    """`sqlite` or `postgres`."""
    name = os.environ.get("TALLYMAN_TEST_DB") or "sqlite"
    if name not in NAMES:
        raise ValueError(f"TALLYMAN_TEST_DB must be one of {', '.join(NAMES)}, not {name!r}")
    return name


def unavailable(name: str) -> str:
    """Why there is no such database here; empty if there is."""
    return postgres.unavailable() if name == "postgres" else ""


def server_url() -> str:
    """The URL for the settings; starts PostgreSQL if need be, for as long as this process lives.

    Processes started from here (pytest-xdist's workers, commands under test) inherit the server.
    """
    if chosen() == "sqlite":
        return "sqlite://:memory:"  # the tests' file is named later, see tests/conftest.py
    if SERVER_URL not in os.environ:
        server = PostgresServer()
        server.start()
        atexit.register(_stop_in, os.getpid(), server)
        os.environ[SERVER_URL] = server.url("tallyman")
    return os.environ[SERVER_URL]


def url_of_test_database() -> str:
    """The DATABASE_URL for commands started by a test, once Django's test database stands."""
    from django.db import connection

    name = str(connection.settings_dict["NAME"])
    if connection.vendor == "sqlite":
        return f"sqlite:///{name}"
    host = quote(connection.settings_dict["HOST"], safe="")
    return f"postgresql://{connection.settings_dict['USER']}@/{quote(name)}?host={host}"


def _stop_in(pid: int, server: PostgresServer) -> None:
    """Stop the server, unless this is a fork that only inherited the wish."""
    if os.getpid() == pid:
        server.stop()

"""The databases that a part is measured on: PostgreSQL, and a file of SQLite."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

from bench import ground
from tests.support.postgres import PostgresServer

_SQLITE = "bench_sqlite"


@dataclass(frozen=True, slots=True)
class Place:
    """`alias` is the database's name in this process; commands are told by `environment`."""

    name: str
    alias: str
    environment: dict[str, str]

    @property
    def has_notifications(self) -> bool:
        """Whether whoever hands in a job tells its worker so."""
        from django.db import connections

        return connections[self.alias].vendor == "postgresql"

    def sessions(self) -> int:
        """How many sessions others have with the server; 0 where there is none."""
        from django.db import connections

        if not self.has_notifications:
            return 0
        with connections[self.alias].cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' "
                "AND datname = current_database() AND pid <> pg_backend_pid()"
            )
            return int(cursor.fetchone()[0])


def postgresql(_server: PostgresServer) -> Place:
    """What the part was prepared with."""
    from django.db import DEFAULT_DB_ALIAS

    return Place("PostgreSQL", DEFAULT_DB_ALIAS, {})


@contextlib.contextmanager
def sqlite() -> Iterator[Place]:
    """A new file with every migration, as long as the block lasts."""
    from django.db import connections

    from config import databases

    with tempfile.TemporaryDirectory(prefix="tallyman-bench-") as folder:
        url = f"sqlite:///{folder}/tallyman.sqlite3"
        environment = {"DATABASE_URL": url}
        command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        subprocess.run(command, cwd=ground.ROOT, env={**os.environ, **environment}, check=True)
        connections.databases[_SQLITE] = databases.from_url(url, base_dir=ground.ROOT)
        connections.configure_settings(connections.databases)
        try:
            yield Place("SQLite", _SQLITE, environment)
        finally:
            connections[_SQLITE].close()


@contextlib.contextmanager
def each(server: PostgresServer) -> Iterator[list[Place]]:
    """Both of them."""
    with sqlite() as file:
        yield [postgresql(server), file]

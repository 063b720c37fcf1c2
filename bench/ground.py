"""What every part stands on: a PostgreSQL server that keeps its promises, and the project set up on it.

Nothing is turned off that a deployment would leave on: fsync, full page writes and synchronous commits are
PostgreSQL's defaults. The project runs as it is deployed, without DEBUG, and logs warnings only.
"""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import psycopg

from tests.support.postgres import PostgresServer
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parent.parent
SERVER = {"fsync": "on", "full_page_writes": "on", "shared_buffers": "128MB", "max_connections": "200"}
STOP_SECONDS = 20.0


@contextlib.contextmanager
def prepared() -> Iterator[PostgresServer]:
    """The server, with Django set up on a migrated database of it."""
    with PostgresServer(SERVER) as server:
        _set_environment(server.create_database("tallyman"))
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        yield server
        _close_connection()


def _set_environment(database_url: str) -> None:
    for name in [name for name in os.environ if name.startswith(("TALLYMAN_", "LOG_", "SECURE_"))]:
        del os.environ[name]
    # Python keeps what it compiled, as it does by itself: or each start would compile the project again.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ |= {
        "ALLOWED_HOSTS": "localhost",
        "DATABASE_URL": database_url,
        "DEBUG": "false",
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "LOG_LEVEL": "WARNING",
        "TALLYMAN_ALLOW_PROCESS_EXECUTOR": "true",
        "SECRET_KEY": secrets.token_urlsafe(50),
        "TALLYMAN_ENV_FILE": "",
        "TALLYMAN_SECRET_KEYS": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    }


def _close_connection() -> None:
    from django.db import connection

    connection.close()


class Processes:
    """A command of the project with its children, until it is ended."""

    def __init__(self, *command: str, environment: Mapping[str, str] | None = None) -> None:
        """`environment` is added to this process's own."""
        self._output = tempfile.TemporaryFile("w+b")  # noqa: SIM115 (closed in `end`)
        self.process = subprocess.Popen(
            [sys.executable, *command],
            stdout=self._output,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
        )

    @property
    def children(self) -> list[psutil.Process]:
        """Every process below the command."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def workers(self) -> list[psutil.Process]:
        """The worker processes that have given themselves their title."""
        return [child for child in self.children if "worker[" in title(child)]

    def log(self) -> str:
        """What it wrote."""
        self._output.seek(0)
        return self._output.read().decode(errors="replace")

    def kill(self) -> None:
        """KILL to everything at once."""
        everything = [psutil.Process(self.process.pid), *self.children]
        for process in everything:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait(STOP_SECONDS)
        # Whoever inherited the dead ones takes them away when it likes; that is no time of ours.
        wait_until(lambda: all(map(_is_dead, everything)), STOP_SECONDS, "every process to die")

    def end(self) -> None:
        """TERM and wait; KILL if that does not help."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
        self._output.close()


def _is_dead(process: psutil.Process) -> bool:
    """Whether it runs no more; its entry may still be there."""
    try:
        return process.status() in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}
    except psutil.NoSuchProcess:
        return True


def title(process: psutil.Process) -> str:
    """What a process calls itself; empty if it is gone."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


@contextlib.contextmanager
def running(*command: str, environment: Mapping[str, str] | None = None) -> Iterator[Processes]:
    """A command for as long as the block lasts; what it wrote is shown if the block fails."""
    processes = Processes(*command, environment=environment)
    try:
        yield processes
    except BaseException:
        print(processes.log()[-5000:], file=sys.stderr)
        raise
    finally:
        processes.end()


@contextlib.contextmanager
def supervisor(*options: str, environment: Mapping[str, str] | None = None) -> Iterator[Processes]:
    """`manage.py supervise`."""
    with running("manage.py", "supervise", *options, environment=environment) as processes:
        yield processes


def server_version(server: PostgresServer) -> str:
    """PostgreSQL's version."""
    with psycopg.connect(server.url()) as connection:
        return str(connection.info.server_version // 10_000) + f".{connection.info.server_version % 10_000}"

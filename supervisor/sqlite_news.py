"""Tells when somebody else has written the SQLite file: the kernel says so, its data version proves it."""

from __future__ import annotations

import contextlib
import os

from django.db import connection

from hosts import inotify
from hosts.identity import boot_clock
from supervisor.worker.inbox import Wake

# Where the kernel tells nothing (another file system, no inotify left), the version is read so often: 5 µs.
_LOOK_SECONDS = 0.05
# Where it does, now and then all the same.
_LOOK_ANYWAY_SECONDS = 1.0
# Between two looks, however much is written. SQLite writes first and shows it a moment later.
_REST_SECONDS = 0.005
# What was written and cannot be seen yet is a transaction under way.
_EXPECTED_SECONDS, _OWN_SECONDS = 1.0, 0.1


class SqliteNews:
    """Of the connection open now, and gone with it. What this connection wrote itself is no news."""

    def __init__(self, wake: Wake) -> None:
        connection.ensure_connection()
        self._wake, self._raw = wake, connection.connection
        self._version, self._taken_version = self._read_version(), -1
        self._expected_until, self._written = 0.0, False
        self._events: list[int] = []
        name = str(connection.settings_dict["NAME"])
        with contextlib.suppress(OSError):
            self._events = [inotify.watch(name, f"{name}-wal")]

    def wait(self, seconds: float) -> None:
        """Wait so long, or until there is news, or until somebody else wakes this process."""
        until = boot_clock() + seconds
        self._look(_OWN_SECONDS)
        while not self.is_there:
            left = until - boot_clock()
            if left <= 0 or self._is_woken(left):
                return
            self._look(_EXPECTED_SECONDS)

    @property
    def is_there(self) -> bool:
        """Whether somebody wrote since `take`; True before the first."""
        return self._version != self._taken_version

    def take(self) -> None:
        """What was written until now is being read."""
        self._taken_version = self._version

    def _is_woken(self, left: float) -> bool:
        """Wait until it is time to look; True: somebody else wants this process instead."""
        if not self._events or boot_clock() < self._expected_until:
            return self._wake.wait(min(left, _LOOK_SECONDS))
        if not self._wake.wait(min(left, _LOOK_ANYWAY_SECONDS), also=self._events):
            return False
        return not self._has_events() or self._wake.wait(min(left, _REST_SECONDS))

    def _has_events(self) -> bool:
        """Whether the files were written since the last look."""
        self._written = any(map(inotify.drain, self._events)) or self._written
        return self._written

    def _look(self, expected_seconds: float) -> None:
        has_events, self._written = self._has_events(), False
        with connection.wrap_database_errors:
            version = self._read_version()
        if version != self._version:
            self._version, self._expected_until = version, 0.0
        elif has_events:
            self._expected_until = boot_clock() + expected_seconds

    def _read_version(self) -> int:
        (version,) = self._raw.execute("PRAGMA data_version").fetchone()
        return int(version)

    def close(self) -> None:
        """Watch no more."""
        for events in self._events:
            os.close(events)
        self._events = []

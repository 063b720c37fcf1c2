"""A thread that ends a database call which gets no answer.

A server that is frozen, or behind a cable that was pulled, keeps its connections, and a client waits on one
for ever: `statement_timeout` is counted by the server, and TCP's own timeouts end nothing while a kernel
still acknowledges. So the socket is shut down from here; the call then fails like any other whose server
went away. Making a connection needs no watching: `connect_timeout` is counted by the client.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import structlog
from django.db import connection
from django.db.backends.signals import connection_created

from supervisor import database

logger = structlog.get_logger(__name__)

CALL_SECONDS = 10.0
CALL_SECONDS_STOPPING = 1.0
_LOOK_EVERY_SECONDS = 0.25
_SLOW_SECONDS = 1.0


class Watchdog:
    """Watches the PostgreSQL connection of the thread that makes it; on SQLite there is nothing to watch.

    All that waits for the server goes through `wait` of psycopg's connection: execute, commit, rollback,
    fetch, notifications.
    """

    def __init__(
        self, *, is_stopping: Callable[[], bool], progress: Callable[[], None] = lambda: None
    ) -> None:
        """`progress` is called after each slow call: a turn of many slow ones is no standstill."""
        self._is_stopping, self._progress = is_stopping, progress
        self._began: float | None = None
        self._socket: socket.socket | None = None
        self._wrapper: Any = None
        self._lock = threading.Lock()
        if connection.vendor == "postgresql":
            connection_created.connect(self._watch)
            threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def _watch(self, *, connection: Any, **_: Any) -> None:
        raw, self._wrapper = connection.connection, connection
        # A descriptor of its own: the number of the connection's is another socket's soon after it closes.
        if old := self._swap(socket.socket(fileno=os.dup(raw.fileno()))):
            old.close()
        raw.wait = self._timed(raw.wait)

    def _timed(self, wait: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            self._began = began = time.monotonic()
            try:
                return wait(*args, **kwargs)
            finally:
                self._began = None
                if time.monotonic() - began > _SLOW_SECONDS:
                    self._progress()

        return timed

    def _swap(self, new: socket.socket | None) -> socket.socket | None:
        with self._lock:
            old, self._socket = self._socket, new
        return old

    def _run(self) -> None:
        while True:
            time.sleep(_LOOK_EVERY_SECONDS)
            began = self._began
            stopping = self._is_stopping()
            limit = CALL_SECONDS_STOPPING if stopping else CALL_SECONDS
            if began is not None and time.monotonic() - began > limit and self._socket:
                logger.warning("the database does not answer; its connection is cut", waited_seconds=limit)
                if stopping:  # Django makes another connection as soon as a transaction has lost its own
                    database.hurry(self._wrapper)
                self._cut()

    def _cut(self) -> None:
        if held := self._swap(None):
            with held, contextlib.suppress(OSError):
                held.shutdown(socket.SHUT_RDWR)

"""Ends a database call that gets no answer.

A server that is frozen, or behind a cable that was pulled, keeps its connections, and a client waits on one
for ever: `statement_timeout` is counted by the server, and TCP's own timeouts end nothing while a kernel
still acknowledges. So the socket is shut down from here; the call then fails like any other whose server
went away. Making a connection needs no watching: `connect_timeout` is counted by the client.

There is no thread to it: psycopg looks up from its wait ten times a second, and asks what it waits for.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Generator
from typing import Any

import structlog
from django.db import connection
from django.db.backends.signals import connection_created

from supervisor import database

logger = structlog.get_logger(__name__)

CALL_SECONDS = 10.0
CALL_SECONDS_STOPPING = 1.0
_SLOW_SECONDS = 1.0


class Watchdog:
    """Watches the PostgreSQL connections made in this process; on SQLite there is nothing to watch.

    All that waits for the server goes through `wait` of psycopg's connection: execute, commit, rollback,
    fetch, notifications.
    """

    def __init__(
        self, *, is_stopping: Callable[[], bool], progress: Callable[[], None] = lambda: None
    ) -> None:
        """`progress` is called after each slow call: a turn of many slow ones is no standstill."""
        self._is_stopping, self._progress = is_stopping, progress
        if connection.vendor == "postgresql":
            connection_created.connect(self._watch, weak=False)

    def _watch(self, *, connection: Any, **_: Any) -> None:
        raw, wrapper = connection.connection, connection
        wait = raw.wait

        def watched(waiting: Generator[Any, Any, Any], *args: Any, **kwargs: Any) -> Any:
            return wait(self._timed(waiting, wrapper), *args, **kwargs)

        raw.wait = watched

    def _timed(self, waiting: Generator[Any, Any, Any], wrapper: Any) -> Generator[Any, Any, Any]:
        """What psycopg waits for, with an eye on the clock whenever nothing has come for a while."""
        began, is_cut = time.monotonic(), False
        try:
            wanted = next(waiting)
            while True:
                ready = yield wanted
                if not ready and not is_cut:
                    is_cut = self._is_cut(began, wrapper)
                wanted = waiting.send(ready)
        except StopIteration as done:
            return done.value
        finally:
            if time.monotonic() - began > _SLOW_SECONDS:
                self._progress()

    def _is_cut(self, began: float, wrapper: Any) -> bool:
        stopping = self._is_stopping()
        limit = CALL_SECONDS_STOPPING if stopping else CALL_SECONDS
        if time.monotonic() - began <= limit:
            return False
        logger.warning("the database does not answer; its connection is cut", waited_seconds=limit)
        if stopping:  # Django makes another connection as soon as a transaction has lost its own
            database.hurry(wrapper)
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(wrapper.connection.fileno())) as held:
            held.shutdown(socket.SHUT_RDWR)
        return True

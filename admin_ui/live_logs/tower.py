"""One thread of a web process that looks for news of every log that somebody watches here.

The database is asked, in one small query for all of them, five times a second; a channel layer that reaches
other processes only makes a look come earlier. What is new of a log is read once, however many watch it, and
only its newest lines are kept: a watcher who is slow misses the lines between, and reads them page by page.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import structlog
from django.db import DatabaseError, InterfaceError, connection

from admin_ui.live_logs import rows
from admin_ui.live_logs.rows import Row
from hosts.identity import boot_clock
from jobs import log_watch
from jobs.log_lines import Follower
from jobs.models import Attempt

logger = structlog.get_logger(__name__)

LOOK_EVERY_SECONDS = 0.2
_AFTER_ERROR_SECONDS = 1.0
MOST_ROWS = 500
MOST_CHARACTERS = 256 * 1024
_COLUMNS = (
    "id",
    "number",
    "state",
    "outcome",
    "exit_code",
    "next_seq",
    "stdout_lines",
    "stderr_lines",
    "log_gap_bytes",
    "logs_deleted_at",
)

Tell = Callable[[], None]


@dataclass(slots=True)
class Feed:
    """One log in one stream, as its watchers share it. Lists are replaced, never changed.

    `rows` are the newest of those that came since the first one watched; until the first look, `attempt` is
    None.
    """

    attempt_id: UUID
    stream: str
    attempt: Attempt | None = None
    total: int = 0
    rows: list[Row] = field(default_factory=list)
    rest: list[Row] = field(default_factory=list)
    tellers: set[Tell] = field(default_factory=set)
    follower: Follower | None = None

    def take(self, attempt: Attempt) -> bool:
        """Note how the attempt stands now; whether that is news."""
        before, self.attempt = self.attempt, attempt
        if before is None:
            self.total = rows.count(attempt, self.stream)
            self.follower = Follower(attempt.pk, self.stream, next_seq=attempt.next_seq)
            return True
        if attempt.next_seq != before.next_seq and self.follower:
            new, rest = self.follower.new()
            self.rows = rows.newest([*self.rows, *rows.rows(new)], MOST_ROWS, MOST_CHARACTERS)
            self.rest = rows.rows(rest)
            self.total = max(self.total, new[-1].number + 1 if new else 0)
            return True
        return _stand(attempt) != _stand(before)


def _stand(attempt: Attempt) -> tuple[Any, ...]:
    return attempt.state, attempt.log_gap_bytes, attempt.logs_deleted_at


class Tower:
    """See the module. `on_news` is called with each attempt that a look of our own found to have grown."""

    def __init__(self, on_news: Callable[[UUID], None] | None = None) -> None:
        self._lock = threading.Lock()
        self._feeds: dict[tuple[UUID, str], Feed] = {}
        self._poke = threading.Event()
        self._thread: threading.Thread | None = None
        self._mark_clock = 0.0
        self._poked = False
        self.on_news = on_news

    def watch(self, attempt_id: UUID, stream: str, tell: Tell) -> Feed:
        """The feed of a log; `tell` is called, on another thread, when there is something new in it."""
        with self._lock:
            feed = self._feeds.setdefault((attempt_id, stream), Feed(attempt_id, stream))
            feed.tellers.add(tell)
            self._mark_clock = 0.0
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="log-tower", daemon=True)
                self._thread.start()
        self._poke.set()
        return feed

    def leave(self, feed: Feed, tell: Tell) -> None:
        """Nobody is to be told by this one any more; a feed without anybody is let go."""
        with self._lock:
            feed.tellers.discard(tell)
            if not feed.tellers:
                self._feeds.pop((feed.attempt_id, feed.stream), None)
        self._poke.set()

    def look_soon(self) -> None:
        """Somebody says that there is something new."""
        self._poked = True
        self._poke.set()

    @property
    def is_idle(self) -> bool:
        """Whether nobody watches, and the thread and its connection are gone."""
        return self._thread is None

    def _run(self) -> None:
        try:
            while True:
                self._poke.clear()
                seconds = self._look_safely()
                with self._lock:
                    if not self._feeds:
                        self._thread = None
                        return
                self._poke.wait(seconds)
        finally:
            connection.close()

    def _look_safely(self) -> float:
        try:
            self._look()
        except (DatabaseError, InterfaceError):
            logger.warning("cannot look for news of logs", exc_info=True)
            connection.close()
            return _AFTER_ERROR_SECONDS
        except Exception:  # the thread serves everybody who watches: one log must not end it
            logger.exception("a log could not be followed")
            return _AFTER_ERROR_SECONDS
        return LOOK_EVERY_SECONDS

    def _look(self) -> None:
        was_poked, self._poked = self._poked, False
        with self._lock:
            feeds = list(self._feeds.values())
        if not feeds:
            return
        self._mark({feed.attempt_id for feed in feeds})
        found = Attempt.objects.filter(pk__in={feed.attempt_id for feed in feeds}).only(*_COLUMNS).in_bulk()
        news = set()
        for feed in feeds:
            attempt = found.get(feed.attempt_id)
            if attempt is not None and feed.take(attempt):
                news.add(feed.attempt_id)
                for tell in list(feed.tellers):
                    tell()
        if self.on_news and not was_poked:
            for attempt_id in news:
                self.on_news(attempt_id)

    def _mark(self, attempt_ids: set[UUID]) -> None:
        if boot_clock() >= self._mark_clock:
            self._mark_clock = boot_clock() + log_watch.RENEW_EVERY_SECONDS
            log_watch.mark(attempt_ids)


tower = Tower()

"""The socket of a log: /ws/jobs/<uuid>/log/?attempt=N&stream=all|stdout|stderr&after=<line>.

We send `{"t": "lines", "from", "total", "rows", "rest", "gap_bytes", "state"}`, at most one that is not yet
answered by `{"t": "ack"}`: nothing is kept for a browser that is slow, it gets the newest lines next and
reads what is between them page by page. `{"t": "beat"}` says every ten seconds that all is well, `{"t":
"end", "outcome", "exit_code"}` that nothing more comes. Rows: see `rows.row`; `after` is the first line
wanted.

It is closed with 1000 after the end; 4400: what was asked for makes no sense; 4401: log in; 4403: no
permission (any more); 4404: no such job, or no attempt yet; 4408: no answer for a minute.
"""

from __future__ import annotations

import asyncio
import contextlib
from importlib import import_module
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

from channels.auth import get_user
from channels.db import database_sync_to_async
from channels.exceptions import ChannelFull
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.layers import InMemoryChannelLayer
from django.conf import settings

from admin_ui import standing
from admin_ui.live_logs import rows
from admin_ui.live_logs.rows import Row
from admin_ui.live_logs.tower import MOST_CHARACTERS, MOST_ROWS, Feed, tower
from jobs.log_lines import STREAMS, Lines
from jobs.models import Attempt

ENDED, BAD_REQUEST, LOG_IN, FORBIDDEN, NOT_FOUND, TOO_SLOW = 1000, 4400, 4401, 4403, 4404, 4408
PERMISSION = "jobs.view_containerjob"
BEAT_SECONDS = 10.0
CHECK_EVERY_SECONDS = 30.0
PATIENCE_SECONDS = 60.0


class LogConsumer(AsyncJsonWebsocketConsumer):
    """One browser that follows one log."""

    async def connect(self) -> None:
        """Let it in, or say why not: a code can only be given once it is in."""
        self._feed: Feed | None = None
        self._sender: asyncio.Task[None] | None = None
        self._is_first = True
        await self.accept()
        refusal = await self._refusal() or await self._understand()
        if refusal:
            await self.close(refusal)
            return
        self._loop, self._news, self._credit = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        self._credit.set()
        self._spread()
        await self._join()
        self._feed = tower.watch(self._attempt_id, self._stream, self._tell)
        self._sender = asyncio.create_task(self._send_news())

    async def disconnect(self, code: int) -> None:
        """Let everything go."""
        await self._leave()
        if self._sender:
            self._sender.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sender

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None, **_: Any) -> None:
        """The only thing that a browser says is that it has taken in what we sent; all else is let pass."""
        try:
            content = await self.decode_json(text_data or "")
        except (ValueError, RecursionError):
            return
        if isinstance(content, dict) and content.get("t") == "ack" and self._feed:
            self._credit.set()

    async def _leave(self) -> None:
        if self._feed:
            tower.leave(self._feed, self._tell)
            self._feed = None
            await self._part()

    async def _end(self, code: int) -> None:
        """Close it from our side."""
        await self._leave()
        await self.close(code)

    # ── who and what ──────────────────────────────────────────────────────────────────────────────────

    async def _refusal(self) -> int:
        """The code to close with, or 0: asked again from time to time, of the login as it is then."""
        session = self.scope.get("session")
        key = getattr(session, "session_key", None)
        if key is None:
            return LOG_IN
        store = import_module(settings.SESSION_ENGINE).SessionStore
        kept = store(key)
        user = await get_user({**self.scope, "session": kept})
        if not user.is_authenticated:
            return LOG_IN
        if await database_sync_to_async(standing.of)(kept, user):
            return LOG_IN
        may = await database_sync_to_async(
            lambda: user.is_active and user.is_staff and user.has_perm(PERMISSION)
        )()
        return 0 if may else FORBIDDEN

    async def _understand(self) -> int:
        query = {name: values[-1] for name, values in parse_qs(self.scope["query_string"].decode()).items()}
        number, after = query.get("attempt", ""), query.get("after", "0")
        self._stream = query.get("stream", "all")
        if self._stream not in STREAMS or not _is_number(number or "0") or not _is_number(after):
            return BAD_REQUEST
        self._position = int(after)
        attempts = Attempt.objects.filter(job_id=self.scope["url_route"]["kwargs"]["job_id"])
        attempts = attempts.filter(number=int(number)) if number else attempts.order_by("-number")
        found = await database_sync_to_async(lambda: attempts.values_list("pk", flat=True).first())()
        if found is None:
            return NOT_FOUND
        self._attempt_id: UUID = found
        return 0

    # ── news ──────────────────────────────────────────────────────────────────────────────────────────

    def _tell(self) -> None:
        """Called by the tower's thread."""
        with contextlib.suppress(RuntimeError):  # the process is ending
            self._loop.call_soon_threadsafe(self._news.set)

    async def _send_news(self) -> None:
        check_at = self._loop.time() + CHECK_EVERY_SECONDS
        self._news.set()  # others may watch it already, so that what is there is no news to the tower
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), BEAT_SECONDS)
            if self._loop.time() >= check_at:
                check_at = self._loop.time() + CHECK_EVERY_SECONDS
                if refusal := await self._refusal():
                    await self._end(refusal)
                    return
            if not self._news.is_set():
                await self.send_json({"t": "beat"})
                continue
            try:
                await asyncio.wait_for(self._credit.wait(), PATIENCE_SECONDS)
            except TimeoutError:
                await self._end(TOO_SLOW)
                return
            self._news.clear()
            if await self._send_lines():
                await self._end(ENDED)
                return

    async def _send_lines(self) -> bool:
        """Send what is new; whether it was the last of it."""
        feed = self._feed
        if feed is None or feed.attempt is None:
            return False
        attempt, total, rest = feed.attempt, feed.total, feed.rest
        found = [row for row in feed.rows if row[0] >= self._position]
        end = found[0][0] if found else total
        if self._is_first and self._position < end:
            found = [*await database_sync_to_async(self._read)(end), *found]
        self._is_first = False
        self._position = max(self._position, total, found[-1][0] + 1 if found else 0)
        self._credit.clear()
        await self.send_json(
            {
                "t": "lines",
                "from": found[0][0] if found else self._position,
                "total": self._position if found else total,
                "rows": found,
                "rest": rest,
                "gap_bytes": attempt.log_gap_bytes,
                "state": attempt.state,
            }
        )
        if rows.is_final(attempt):
            await self.send_json({"t": "end", "outcome": attempt.outcome, "exit_code": attempt.exit_code})
            return True
        return False

    def _read(self, end: int) -> list[Row]:
        first = max(self._position, end - MOST_ROWS)
        page = Lines(self._attempt_id, self._stream).page(first, end - first)
        return rows.newest(rows.rows(page.lines), MOST_ROWS, MOST_CHARACTERS)

    # ── other web processes ───────────────────────────────────────────────────────────────────────────

    @property
    def _group(self) -> str:
        return f"log.{self._attempt_id.hex}"

    def _reaches_others(self) -> bool:
        return self.channel_layer is not None and not isinstance(self.channel_layer, InMemoryChannelLayer)

    def _spread(self) -> None:
        """Let what this process finds be looked for by the others, if there is a layer that reaches them."""
        if not self._reaches_others():
            return
        layer, loop = self.channel_layer, self._loop

        async def send(group: str) -> None:
            with contextlib.suppress(ChannelFull, OSError, ConnectionError):
                await layer.group_send(group, {"type": "log.grew"})

        tower.on_news = lambda attempt_id: _schedule(send(f"log.{attempt_id.hex}"), loop)

    async def _join(self) -> None:
        if self._reaches_others():
            await self.channel_layer.group_add(self._group, self.channel_name)

    async def _part(self) -> None:
        if self._reaches_others():
            await self.channel_layer.group_discard(self._group, self.channel_name)

    async def log_grew(self, _message: Any) -> None:
        """Another process found something new."""
        tower.look_soon()


def _schedule(coroutine: Any, loop: asyncio.AbstractEventLoop) -> None:
    if loop.is_closed():
        coroutine.close()
    else:
        asyncio.run_coroutine_threadsafe(coroutine, loop)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 15  # noqa: PLR2004 - no log has as many lines

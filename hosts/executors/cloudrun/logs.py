"""The logs of a host's executions, read from Cloud Logging by one thread for all of them.

Cloud Logging tells nobody that there is something new, and answers few reads a minute and project. So it is
asked in turn for each log, a quiet one ever more seldom, and never more often than that quota allows.
"""

from __future__ import annotations

import email.utils
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from hosts.errors import DockerConnectionError, EngineError
from hosts.executors.cloudrun.answers import ApiError, unexpected
from hosts.executors.cloudrun.configuration import Settings
from hosts.executors.cloudrun.logwalk import Walk
from hosts.executors.log_source import Resume

if TYPE_CHECKING:
    from hosts.executors.cloudrun.client import Api

SHARE_BYTES = 1024 * 1024  # what is read of one log and nobody has taken yet
_BURST_SHARE = 1 / 6
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS, _GROWTH = 1.0, 10.0, 1.5
_SHORTEST_WAIT_SECONDS = 0.05
_THROTTLED_WAIT_SECONDS = 10.0
_IDLE_SECONDS = 5.0
_ASK_EVERY_SECONDS = 1.0


class Quota:
    """So many reads in any minute, a few of them at once. For one thread."""

    def __init__(self, a_minute: float) -> None:
        self._burst = max(1.0, a_minute * _BURST_SHARE)
        self._rate = max(1.0, a_minute - self._burst) / 60
        self._left, self._at = self._burst, time.monotonic()

    def wait_seconds(self) -> float:
        """How long until a read is allowed; 0: it is, and this was it."""
        now = time.monotonic()
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            return (1 - self._left) / self._rate
        self._left -= 1
        return 0.0

    def rest(self, seconds: float) -> None:
        """Others have used it up: no read for so long."""
        self._left, self._at = 1 - seconds * self._rate, time.monotonic()


class CloudLog:
    """A LogSource. `fill` is for the thread that reads, the rest for the one that it is read for."""

    def __init__(self, walk: Walk, settings: Settings, forget: Callable[[CloudLog], None]) -> None:
        self._walk, self._settings, self._forget = walk, settings, forget
        self._lock = threading.Lock()
        self._parts: deque[bytes] = deque()
        self._size = 0
        self._failure: EngineError | None = None
        self._flag = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._wait = _FIRST_WAIT_SECONDS
        self._ask_clock = 0.0
        self.due = 0.0

    def fileno(self) -> int:
        """Readable after each look at the log, whether it brought something or not; -1 once closed."""
        return self._flag

    @property
    def missing(self) -> str:
        """Cloud Logging keeps what it took: 30 days at least, unless a sink of the project drops it."""
        return ""

    @property
    def has_room(self) -> bool:
        """Whether more may be read of it."""
        return self._size < SHARE_BYTES

    def read(self, budget: int) -> bytes | None:
        """Whole frames, around `budget` bytes; b"" if none yet; None at the end."""
        with self._lock:
            taken, size = [], 0
            while self._parts and size < budget:
                taken.append(self._parts.popleft())
                size += len(taken[-1])
            self._size -= size
            done = self._failure is not None or self._walk.is_over
            if not self._parts and self._flag >= 0 and not done:
                self._clear()
        if taken:
            return b"".join(taken)
        if self._failure:
            raise self._failure
        return None if self._walk.is_over else b""

    def close(self) -> None:
        """Let go of it; may be called twice."""
        self._forget(self)
        with self._lock:
            if self._flag >= 0:
                os.close(self._flag)
                self._flag = -1

    def fill(self, api: Api, skew: timedelta) -> timedelta:
        """Ask for the next page; how far Google's clock is from ours, by its answer. Raises ApiError."""
        body = self._walk.body(datetime.now(UTC) + skew, time.monotonic())
        response = api.list_entries(body)
        answer = _json(response)
        now = _date(response.headers.get("Date"))
        skew = now - datetime.now(UTC) if now else skew
        with self._lock:
            new = self._walk.take(answer, datetime.now(UTC) + skew)
            self._parts.extend(new)
            self._size += sum(map(len, new))
        self._wait = _FIRST_WAIT_SECONDS if new else min(self._wait * _GROWTH, _LONGEST_WAIT_SECONDS)
        settle = max(self._settings.log_settle_seconds / 2, _SHORTEST_WAIT_SECONDS)
        self.due = time.monotonic() + (0.0 if self._walk.has_more else min(self._wait, settle))
        self.wake()
        return skew

    def end_if(self, has_ended: Callable[[str], bool]) -> None:
        """End a followed log soon after its execution. That proves nothing: it is read once more then."""
        now = time.monotonic()
        if not self._walk.follow or self._walk.has_more or now < self._ask_clock:
            return
        self._ask_clock = now + _ASK_EVERY_SECONDS
        if has_ended(self._walk.container_id):
            self._walk.is_over, self.due = True, math.inf
            self.wake()

    def fail(self, error: EngineError) -> None:
        """It cannot be read on: `read` raises this once all that was read before is taken."""
        self._failure, self.due = error, math.inf
        self.wake()

    def wake(self) -> None:
        """Tell who waits for it that it was looked at."""
        with self._lock:
            if self._flag >= 0:
                os.eventfd_write(self._flag, 1)

    def _clear(self) -> None:
        try:
            os.eventfd_read(self._flag)
        except BlockingIOError:
            return


class LogReader:
    """Reads all the logs of a host that are open, in a thread that is there as long as there are any."""

    def __init__(
        self, api: Callable[[], Api], settings: Settings, host: str, has_ended: Callable[[str], bool]
    ) -> None:
        self._api, self._settings, self._host, self._has_ended = api, settings, host, has_ended
        self._changed = threading.Condition()
        self._sources: list[CloudLog] = []
        self._thread: threading.Thread | None = None
        self._quota = Quota(settings.log_reads_per_minute)

    def open(self, container_id: str, resume: Resume, *, follow: bool) -> CloudLog:
        """The log after what is stored. Nothing is asked yet."""
        walk = Walk(self._settings, container_id, resume, follow=follow, clock=time.monotonic())
        source = CloudLog(walk, self._settings, self._forget)
        if resume.end:
            # What came late may stand before it: that is found by all that is stored of the last minute only.
            source.fail(DockerConnectionError(f"{self._host}: a log of Cloud Logging has no known end."))
            return source
        with self._changed:
            self._sources.append(source)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="cloud logs", daemon=True)
                self._thread.start()
            self._changed.notify()
        return source

    def _forget(self, source: CloudLog) -> None:
        with self._changed:
            if source in self._sources:
                self._sources.remove(source)

    def _run(self) -> None:
        skew = timedelta()
        api = self._api()
        try:
            while (source := self._next()) is not None:
                try:
                    skew = source.fill(api, skew)
                    source.end_if(self._has_ended)
                except ApiError as error:
                    self._refused(source, error)
        except BaseException as exc:
            self._fail_all(DockerConnectionError(f"{self._host}: reading the logs crashed: {exc!r}"))
            raise
        finally:
            api.close()

    def _refused(self, source: CloudLog, error: ApiError) -> None:
        if error.status == HTTPStatus.TOO_MANY_REQUESTS:
            self._quota.rest(_THROTTLED_WAIT_SECONDS)
            source.wake()  # it is slow, and not dead
        else:
            source.fail(unexpected(f"{self._host}: a log", error))

    def _next(self) -> CloudLog | None:
        """The source whose turn it is, once it is; None when there are none for a while."""
        idle_since = time.monotonic()
        with self._changed:
            while True:
                now = time.monotonic()
                waiting = [source for source in self._sources if source.has_room]
                source = min(waiting, key=lambda each: each.due, default=None)
                idle_since = now if self._sources else idle_since
                if now - idle_since >= _IDLE_SECONDS:
                    self._thread = None
                    return None
                wait = _IDLE_SECONDS if source is None else min(source.due - now, _IDLE_SECONDS)
                if source is not None and wait <= 0 and not (wait := self._quota.wait_seconds()):
                    return source
                # A log that is full is looked at again soon: nobody tells that it was taken.
                self._changed.wait(min(wait, 0.1) if len(waiting) < len(self._sources) else wait)

    def _fail_all(self, error: EngineError) -> None:
        with self._changed:
            self._thread = None
            for source in self._sources:
                source.fail(error)
            self._sources.clear()


def _json(response: Any) -> dict[str, Any]:
    try:
        answer = response.json()
    except ValueError as exc:
        raise ApiError(0, f"an answer that is none: {exc}") from exc
    if not isinstance(answer, dict):
        raise ApiError(0, f"an answer that is none: {answer!r:.100}")
    return answer


def _date(header: str | None) -> datetime | None:
    try:
        return email.utils.parsedate_to_datetime(header) if header else None
    except ValueError:
        return None

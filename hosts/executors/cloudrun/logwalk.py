"""How the log of one execution is walked through: what to ask for next, and what of an answer is new. Pure.

Entries come in the order of their times, but not at once: one may show up seconds after newer ones. So,
following, an entry is asked for only when it is `log_settle_seconds` old, by Google's clock. The last read,
of an execution that is over, looks at the last minute again until nothing new came for as long.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from hosts.executors import frames
from hosts.executors.cloudrun import entries, naming
from hosts.executors.cloudrun.configuration import Settings
from hosts.executors.log_source import Resume

PAGE_ENTRIES = 1000
LOOK_BACK = timedelta(seconds=60)
_AFTER_END = timedelta(seconds=1)


class Walk:
    """The reading of one log. Times named `*_clock` are monotonic, in seconds; the caller says what it is."""

    def __init__(
        self, settings: Settings, container_id: str, resume: Resume, *, follow: bool, clock: float
    ) -> None:
        self._settings, self.container_id, self.follow = settings, container_id, follow
        self._since, self._stored = _resumed(resume)
        self._newest = self._since
        self._until = ""
        self._seen: dict[tuple[str, str], None] = {}
        self._assembler = entries.Assembler()
        self._page_token = ""
        self._body: dict[str, Any] = {}
        self._found = False  # something new in this pass over the log
        self._pass_clock = self._quiet_clock = clock
        self.is_over = False

    @property
    def has_more(self) -> bool:
        """Whether the last answer was not the last page."""
        return bool(self._page_token)

    def body(self, now: datetime, clock: float) -> dict[str, Any]:
        """The next request for `entries:list`; `now` is Google's time, as far as it is known."""
        if self._page_token:
            return {**self._body, "pageToken": self._page_token}
        self._found, self._pass_clock = False, clock
        until = self._until
        if self.follow:
            until = _text(now - timedelta(seconds=self._settings.log_settle_seconds))
        self._body = {
            "resourceNames": [f"projects/{self._settings.project}"],
            "filter": self._filter(until),
            "orderBy": "timestamp asc",
            "pageSize": PAGE_ENTRIES,
        }
        return self._body

    def take(self, answer: Mapping[str, Any], now: datetime) -> list[bytes]:
        """The frames that are new in an answer. `now` is when Google gave it."""
        new = [frame for entry in answer.get("entries", ()) for frame in self._new(entry)]
        self._found = self._found or bool(new)
        self._page_token = str(answer.get("nextPageToken") or "")
        if not self._page_token:
            new += self._end_pass(now)
        return new

    def _new(self, entry: Mapping[str, Any]) -> Iterator[bytes]:
        key = entries.key(entry)
        if key in self._seen:
            return
        self._seen[key] = None
        self._newest = max(self._newest, key[0])
        for frame in self._assembler.frames(entry):
            if self._stored[frame] > 0:
                self._stored[frame] -= 1
            else:
                yield frame

    def _end_pass(self, now: datetime) -> list[bytes]:
        if self._newest:
            looked_back = self._newest if self.follow else _earlier(self._newest, LOOK_BACK)
            self._since = max(self._since, looked_back)
        self._seen = {key: None for key in self._seen if key[0] >= self._since}
        if self.follow:
            return []
        # Whatever runs is over by now, and what somebody else writes later is none of its log.
        self._until = self._until or _text(now + _AFTER_END)
        if self._found:
            self._quiet_clock = self._pass_clock
        self.is_over = self._pass_clock - self._quiet_clock >= self._settings.log_settle_seconds
        return self._assembler.rest() if self.is_over else []

    def _filter(self, until: str) -> str:
        settings, job = self._settings, naming.split_id(self.container_id)
        logs = " OR ".join(f'"{name}"' for name in entries.log_names(settings.project))
        terms = [
            'resource.type="cloud_run_job"',
            f'resource.labels.job_name="{job[0] if job else self.container_id}"',
            f'resource.labels.location="{settings.region}"',
            f'labels."run.googleapis.com/execution_name"="{self.container_id}"',
            f"logName=({logs})",
        ]
        terms += [f'timestamp>="{self._since}"'] if self._since else []
        terms += [f'timestamp<="{until}"'] if until else []
        return " AND ".join(terms)


def _resumed(resume: Resume) -> tuple[str, Counter[bytes]]:
    """From when on to read, and the frames from then on that are stored already."""
    stored = Counter(frames.pack(one.stream, one.time, one.payload) for one in frames.walk(resume.tail))
    if not resume.newest:
        return "", stored
    if resume.covers:
        return entries.stamp(resume.covers), stored
    return _earlier(resume.newest, timedelta(seconds=resume.tail_seconds)), stored


def _earlier(time: str, by: timedelta) -> str:
    return _text(frames.moment(time) - by)


def _text(at: datetime) -> str:
    return frames.stamp(frames.nanoseconds(at.astimezone(UTC))).decode()

"""Attempts between `create` and the certainty that they have a task: what they run, and since when to wait.

Of this process only. Whoever comes after it makes the request anew: equal to the one that was sent, or ECS
answers with the task that has its token.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from hosts.executors.contract import Observation
from hosts.identity import boot_clock

_MOST = 10_000  # an attempt that is given up between create and start is not told of


@dataclass(slots=True)
class _Entry:
    made: Observation | None = None
    request: Mapping[str, Any] | None = None
    is_gone: bool = False
    asked: float | None = None
    sent: float | None = None


class Waiting:
    """For all threads."""

    def __init__(self, settle_seconds: float) -> None:
        self._settle_seconds = settle_seconds
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    def hold(self, made: Observation, request: Mapping[str, Any]) -> Observation | None:
        """It is made, and this is what it runs; what its job has already instead, if anything."""
        entry = self._entry(made.container_id)
        with self._lock:
            if known := self._unsent_of(made.label("job")):
                return known
            entry.made, entry.request, entry.is_gone, entry.sent = made, request, False, None
        return None

    def made(self, container_id: str) -> Observation | None:
        """What was made of it in this process, as long as no start of it was sent."""
        with self._lock:
            entry = self._entries.get(container_id)
            return entry.made if entry and entry.sent is None else None

    def of_job(self, job: str) -> Observation | None:
        """As `made`, by the job's id."""
        with self._lock:
            return self._unsent_of(job)

    def unsent(self) -> list[Observation]:
        """All that were made, and of which no start was sent."""
        with self._lock:
            return [entry.made for entry in self._entries.values() if entry.made and entry.sent is None]

    def revoke(self, container_id: str) -> bool:
        """Give up what was made here and never sent, or was before; False: there is no such thing."""
        with self._lock:
            entry = self._entries.get(container_id)
            if entry is None or entry.made is None or entry.sent is not None:
                return bool(entry and entry.is_gone)
            entry.made, entry.request, entry.is_gone = None, None, True
            return True

    def is_gone(self, container_id: str) -> bool:
        """Whether it was revoked."""
        with self._lock:
            entry = self._entries.get(container_id)
            return bool(entry and entry.is_gone)

    def request(self, container_id: str) -> Mapping[str, Any] | None:
        """What it runs; None: it was not made in this process, or was dropped."""
        return self._entry(container_id).request

    def sent(self, container_id: str) -> None:
        """Its request is about to be sent."""
        self._entry(container_id).sent = boot_clock()

    def ask(self, container_id: str) -> None:
        """It is looked for: by a start that was sent before now, if ever."""
        entry = self._entry(container_id)
        entry.asked = boot_clock() if entry.asked is None else entry.asked

    def drop(self, container_id: str) -> None:
        """It is known what became of it."""
        with self._lock:
            self._entries.pop(container_id, None)

    def is_settled(self, container_id: str) -> bool:
        """Whether a task of a start that was sent by anybody would be seen by now."""
        entry = self._entry(container_id)
        since = max(filter(None, (entry.asked, entry.sent)), default=boot_clock())
        return boot_clock() - since >= self._settle_seconds

    def was_sent_since(self, container_id: str, ago: timedelta) -> bool:
        """Whether this process has sent it so short a time ago."""
        sent = self._entry(container_id).sent
        return sent is not None and boot_clock() - sent < ago.total_seconds()

    def _unsent_of(self, job: str) -> Observation | None:
        for entry in self._entries.values():
            if entry.made and entry.sent is None and entry.made.label("job") == job:
                return entry.made
        return None

    def _entry(self, container_id: str) -> _Entry:
        with self._lock:
            entry = self._entries.setdefault(container_id, _Entry())
            while len(self._entries) > _MOST:
                self._entries.popitem(last=False)
            return entry

"""Containers with our labels of which no row tells: since when they are seen, and when one may go. Pure.

A row may be missing because somebody deleted it, or because the database was restored from a backup: then
the container is all that tells of its job. So by default they are only reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from hosts.executors.contract import Observation


@dataclass(frozen=True, slots=True, kw_only=True)
class Reap:
    """What is done with orphans; `after_seconds` lie between the first sighting and the removal at least."""

    remove: bool = False
    after_seconds: float = 600.0
    grace_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class Removal:
    """An orphan to be removed now; `how` is `stop` (TERM first), `kill` or `remove` (it does not run)."""

    seen: Observation
    how: str


class Orphans:
    """Those of one host. `stored` is what the host's row says of them, for whoever looks at it."""

    def __init__(self, stored: Sequence[Mapping[str, Any]], reap: Reap) -> None:
        self.stored = [dict(entry) for entry in stored]
        self._reap = reap
        self._present: list[Observation] = []
        self._asked: dict[str, datetime] = {}

    def see(self, present: Iterable[Observation], now: datetime) -> list[Observation]:
        """Take a look at the engine into `stored`; the orphans that were not there the last time."""
        known = {entry["id"]: entry for entry in self.stored}
        self._present = list(present)
        self.stored = [
            {
                "id": seen.container_id,
                "name": seen.name,
                "state": seen.state,
                "since": known.get(seen.container_id, {}).get("since") or now.isoformat(),
            }
            for seen in self._present
        ]
        ids = {seen.container_id for seen in self._present}
        self._asked = {key: asked for key, asked in self._asked.items() if key in ids}
        return [seen for seen in self._present if seen.container_id not in known]

    def due(
        self, known_jobs: Iterable[str], now: datetime, *, asked: Set[str] = frozenset()
    ) -> list[Removal]:
        """What may be removed now: asked for or seen long enough, and not of a job that there is a row of.

        Such a job may be about to start again, and would find its container by itself. `asked` are the ids
        of those that a person has looked at and wants removed.
        """
        spared = set(known_jobs)
        old = self._seen_long_enough(now) if self._reap.remove else set()
        removals = [
            Removal(seen, self._how(seen, now))
            for seen in self._present
            if seen.label("job") not in spared and seen.container_id in asked | old
        ]
        return [removal for removal in removals if removal.how]

    def _seen_long_enough(self, now: datetime) -> set[str]:
        wait = timedelta(seconds=self._reap.after_seconds)
        since = {entry["id"]: datetime.fromisoformat(entry["since"]) for entry in self.stored}
        return {key for key, first in since.items() if first + wait <= now}

    def _how(self, seen: Observation, now: datetime) -> str:
        if seen.state not in ("starting", "running"):
            return "remove"
        asked = self._asked.setdefault(seen.container_id, now)
        if asked == now:
            return "stop"
        return "kill" if now - asked >= timedelta(seconds=self._reap.grace_seconds) else ""

    def look_again_seconds(self) -> float | None:
        """How soon the engine is to be looked at again: the grace of those asked to stop; None: as usual."""
        return self._reap.grace_seconds if self._asked else None

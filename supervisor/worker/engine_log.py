"""What an engine did with one run's container: its events, and our own steps where no event was heard."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime

from hosts.executors.contract import Hint

MOST_LINES = 200


@dataclass(frozen=True, slots=True, order=True)
class _Entry:
    at: datetime
    action: str
    detail: str
    container_id: str = ""

    @property
    def line(self) -> str:
        return " ".join(filter(None, (f"{self.at:%Y-%m-%dT%H:%M:%S.%f}Z", self.action, self.detail)))


@dataclass(slots=True)
class EngineLog:
    """Bounded: of more than 200 lines the first and the last are kept. An event heard twice stands once."""

    _heard: dict[_Entry, None] = field(default_factory=dict)
    _noted: list[_Entry] = field(default_factory=list)
    _left_out: int = 0

    def hear(self, hint: Hint) -> None:
        """An event of a container of the run's job; engines tell the last ones again when asked."""
        if hint.at is None or hint.container_id is None:
            return
        entry = _Entry(hint.at, hint.action, hint.detail, hint.container_id)
        if entry in self._heard:
            return
        self._heard[entry] = None
        if len(self._heard) > MOST_LINES:
            del self._heard[list(self._heard)[MOST_LINES // 2]]
            self._left_out += 1

    def note(self, action: str, detail: str = "") -> None:
        """We did, or saw, something of which an event should tell too."""
        if len(self._noted) < MOST_LINES:
            self._noted.append(_Entry(datetime.now(UTC), action, detail))

    @property
    def noted(self) -> list[str]:
        """What was noted, without times."""
        return [f"{entry.action} {entry.detail}".strip() for entry in self._noted]

    def text(self, container_id: str) -> str:
        """A line for each thing that happened to the container, with its time."""
        events = [entry for entry in self._heard if entry.container_id == container_id]
        told = Counter(entry.action for entry in events)
        for entry in self._noted:
            if told[entry.action] > 0:
                told[entry.action] -= 1
            else:
                events.append(entry)
        lines = [entry.line for entry in sorted(events)]
        if self._left_out:
            lines.insert(MOST_LINES // 2, f"[... {self._left_out} events left out ...]")
        return "\n".join(lines)

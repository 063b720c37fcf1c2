"""Removing containers that nobody needs any more, a few at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from hosts.executors.contract import Observation
from hosts.models import Action
from hosts.models.count import count
from supervisor.worker.engine import Engine

# Of the threads for steps: thousands may be over their retention at once, and no job is to wait for them.
AT_ONCE = 2


@dataclass(slots=True)
class Cleaner:
    """Main thread only. What is to go is asked for anew after each look at the engine."""

    host_id: UUID
    engine: Engine
    log: Any
    _waiting: deque[tuple[str, Observation, Callable[..., None], tuple[Any, ...]]] = field(
        default_factory=deque
    )
    _under_way: int = 0

    def forget(self) -> None:
        """Begin with none: the engine was looked at once more."""
        self._waiting.clear()

    def add(self, why: str, seen: Observation, call: Callable[..., None], *args: Any) -> None:
        """Remove this one by and by; `why` is said in the log when it is its turn."""
        self._waiting.append((why, seen, call, args))
        self._go_on()

    def done(self) -> None:
        """One is removed, or could not be."""
        self._under_way -= 1
        self._go_on()

    def _go_on(self) -> None:
        while self._waiting and self._under_way < AT_ONCE:
            self._under_way += 1
            why, seen, call, args = self._waiting.popleft()
            self.log.info(why, container=seen.name)
            self.engine.step(self.host_id, "CLEAN", call, *args)
            count(self.host_id, Action.CLEANED)

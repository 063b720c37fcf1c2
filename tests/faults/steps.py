"""The steps of the start protocol, as traps on the way to the engine or to the database.

Each step is named for what has just happened, or is about to, when the trap snaps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tests.support.taps import Answer, Trap


@dataclass(frozen=True, slots=True)
class Step:
    """`on` is the way it is seen on."""

    on: Literal["engine", "database"]
    message: str | tuple[str, ...]
    when: Literal["before", "after"]
    shows: str = ""

    def trap(self, act: Callable[[], Answer | None]) -> Trap:
        return Trap(self.message, self.when, act, self.shows)


def _moved(state: str) -> str:
    return f"UPDATE jobs_attempt AS a SET state = '{state}'"


_CLAIM = "INSERT INTO jobs_attempt"
_CREATE, _START, _INSPECT = (
    "POST /containers/create",
    "POST /containers/[^/]+/start",
    "GET /containers/[^/]+/json",
)
REMOVE = "DELETE /containers/[^/]+"

STEPS = {
    "before the claim": Step("database", (_CLAIM,), "before"),
    "after the claim": Step("database", (_CLAIM, "COMMIT"), "after"),
    "before the create": Step("engine", _CREATE, "before"),
    "after the create": Step("engine", _CREATE, "after"),
    "before the fence": Step("database", (_moved("created"),), "before"),
    "after the fence": Step("database", (_moved("created"),), "after"),
    "before the start": Step("engine", _START, "before"),
    "after the start": Step("engine", _START, "after"),
    "before it is written as running": Step("database", (_moved("running"),), "before"),
    "after it was written as running": Step("database", (_moved("running"),), "after"),
    "at its exit": Step("engine", _INSPECT, "after", '"Status": ?"exited"'),
    "before it is written as exited": Step("database", (_moved("exited"),), "before"),
    "after it was written as exited": Step("database", (_moved("exited"),), "after"),
    "before its end": Step("database", (_moved("ended"),), "before"),
    "before its end is committed": Step("database", (_moved("ended"), "COMMIT"), "before"),
    "after its end": Step("database", (_moved("ended"), "COMMIT"), "after"),
    "before the removal": Step("engine", REMOVE, "before"),
    "after the removal": Step("engine", REMOVE, "after"),
}
# A worker that sleeps in these holds locks that nobody gets past; the database ends its session after 30 s.
IN_TRANSACTION = {"before the claim", "before its end", "before its end is committed"}
# From here on the container has ended by itself.
AFTER_ITS_EXIT = set(list(STEPS)[list(STEPS).index("at its exit") :])

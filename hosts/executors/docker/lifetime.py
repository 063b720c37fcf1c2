"""What an engine remembers of one container's life, which tells whether one that is deleted ever ran.

An engine deletes an exited container as readily as one that never started. So a start that was under way
(another worker sent it, and died) may land, and the container end, between a look that showed it `created`
and its deletion: beginning again would run the job twice. Only the engine's own events tell the two apart.

An engine keeps its last 256 events. That no start is among them proves something only where they reach back
far enough: to the container's creation, or to a mark (an update that changes nothing) after which it was
still `created`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hosts.executors.contract import Observation
from hosts.executors.docker import wire
from hosts.executors.docker.endpoint import Endpoint
from hosts.executors.docker.lines import JsonLines, Request, Silence

# Changes nothing, as all our containers are made with it; it leaves an event all the same.
MARK = {"RestartPolicy": {"Name": "no", "MaximumRetryCount": 0}}

_GONE = {"destroy", "remove"}
_QUIET_SECONDS = 2.0
_UNPROVED = (
    "It was deleted before it was known whether it had started, and the engine's events do not tell any more."
)
_RAN = "It was started, and had ended, before it was deleted as one that never started; its log went with it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetime:
    """The remembered events of one container, oldest first; `marked`: it was `created` after its mark."""

    actions: tuple[str, ...]
    exit_code: int | None
    finished_at: datetime | None
    marked: bool

    @property
    def never_started(self) -> bool:
        """Whether it is proved that the container is gone and has never run."""
        reaches_back = "create" in self.actions or (self.marked and "update" in self.actions)
        return reaches_back and "start" not in self.actions and bool(_GONE & set(self.actions))

    def observation(self, container_id: str, name: str, labels: Mapping[str, str]) -> Observation:
        """The deleted container as one that has exited, how ever much is known of its end."""
        return Observation(
            container_id=container_id,
            name=name,
            state="exited",
            labels=labels,
            exit_code=self.exit_code,
            finished_at=self.finished_at,
            error=_RAN if "start" in self.actions else _UNPROVED,
        )


def read(endpoint: Endpoint, version: str, container_id: str, *, marked: bool) -> Lifetime:
    """Ask the engine for what it remembers of a container that was deleted just now."""
    request = Request(
        target=wire.target(
            f"/v{version}/events",
            {"since": 1, "filters": {"type": ["container"], "container": [container_id]}},
        ),
        connect_seconds=endpoint.timeout,
        answer_seconds=endpoint.timeout,
        idle_seconds=_QUIET_SECONDS,
    )
    with JsonLines(endpoint, request, lambda: False) as lines:
        return of_events(_until_gone(lines), marked=marked)


def _until_gone(lines: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    with suppress(Silence):
        for event in lines:
            yield event
            if _action(event) in _GONE:
                return


def of_events(events: Iterable[Mapping[str, Any]], *, marked: bool) -> Lifetime:
    """The lifetime that the events of one container tell. Pure."""
    actions: list[str] = []
    exit_code = finished_at = None
    for event in events:
        actions.append(_action(event))
        if actions[-1] == "die":
            exit_code = _exit_code(event)
            nanoseconds = event.get("timeNano")
            finished_at = datetime.fromtimestamp(nanoseconds / 1e9, UTC) if nanoseconds else None
    return Lifetime(actions=tuple(actions), exit_code=exit_code, finished_at=finished_at, marked=marked)


def _action(event: Mapping[str, Any]) -> str:
    return str(event.get("Action") or event.get("status") or "")


def _exit_code(event: Mapping[str, Any]) -> int | None:
    attributes = (event.get("Actor") or {}).get("Attributes") or {}
    text = str(attributes.get("exitCode", attributes.get("containerExitCode", "")))
    return int(text) if text.isdecimal() else None

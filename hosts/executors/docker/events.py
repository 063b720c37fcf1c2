"""The engine's own news of our containers. Hints only: an engine forgets all but the last 256."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from uuid import UUID

from hosts.errors import DockerConnectionError
from hosts.executors.contract import LABEL_PREFIX, Hint
from hosts.executors.docker import wire
from hosts.executors.docker.client import unexpected
from hosts.executors.docker.endpoint import Endpoint
from hosts.executors.docker.lines import JsonLines, Request, Silence
from hosts.executors.stop import descriptor_of

# Both keep the promise to return within a second after `stop`; a slower connection is tried again later.
CONNECT_SECONDS = 0.8
ANSWER_SECONDS = 10.0
# A proxy may keep a connection alive whose engine is gone, so a quiet one is made anew now and then.
IDLE_SECONDS = 300.0

_ACTIONS = ["create", "start", "die", "oom", "kill", "stop", "pause", "unpause", "rename", "destroy"]


def watch(endpoint: Endpoint, version: str, installation: UUID, stop: threading.Event) -> Iterator[Hint]:
    """Yield hints until `stop` is set; DockerConnectionError when the stream breaks.

    The hint `connected` says that whatever came before may have been missed; it may come more than once.
    """
    request = news_request(version, installation, IDLE_SECONDS)
    while not stop.is_set():
        with JsonLines(endpoint, request, stop.is_set, wake=descriptor_of(stop)) as lines:
            quiet = yield from _hints(endpoint.name, lines)
        if not quiet and not stop.is_set():
            raise DockerConnectionError(f"{endpoint.name}: the engine ended its stream of events.")


def _hints(name: str, lines: JsonLines) -> Generator[Hint, None, bool]:
    """Yield one connection's hints; True if it ended because nothing came for long."""
    status = lines.status()
    if status not in {0, HTTPStatus.OK}:
        raise unexpected(name, status, lines.refusal())
    if status:
        yield Hint(container_id=None, action="connected")
    try:
        for event in lines:
            yield hint_of(event)
    except Silence:
        return True
    return False


def hint_of(event: dict[str, Any]) -> Hint:
    """What an engine's event says."""
    actor = event.get("Actor") or {}
    attributes = actor.get("Attributes") or {}
    nanoseconds = event.get("timeNano")
    return Hint(
        container_id=actor.get("ID") or event.get("id"),
        action=str(event.get("Action") or event.get("status") or ""),
        at=datetime.fromtimestamp(nanoseconds / 1e9, UTC) if nanoseconds else None,
        job=attributes.get(LABEL_PREFIX + "job", ""),
        detail=_detail(attributes),
    )


def _detail(attributes: dict[str, Any]) -> str:
    for key, words in (("exitCode", "exit code"), ("signal", "signal")):
        if attributes.get(key):
            return f"{words} {attributes[key]}"
    return ""


def news_request(version: str, installation: UUID, idle_seconds: float) -> Request:
    """The request for the news of all containers of an installation on one engine."""
    ours = f"{LABEL_PREFIX}installation={installation}"
    filters = {"type": ["container"], "label": [ours], "event": _ACTIONS}
    # All that the engine remembers (256 events at most) comes first: what happened while nobody listened.
    return Request(
        target=wire.target(f"/v{version}/events", {"since": 1, "filters": filters}),
        connect_seconds=CONNECT_SECONDS,
        answer_seconds=ANSWER_SECONDS,
        idle_seconds=idle_seconds,
    )

"""What a manager remembers of one service's life, which tells whether one that is gone was ever started.

Asked only where a discard was cut off (its worker died): the service is gone, and whoever deleted it may have
known why. A manager keeps the last 256 of its events, so that no start is among them proves something only
where they reach back to the service's creation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from hosts.executors.docker import wire
from hosts.executors.docker.endpoint import Endpoint
from hosts.executors.docker.lines import JsonLines, Request, Silence

_QUIET_SECONDS = 2.0


def never_started(endpoint: Endpoint, version: str, service_id: str) -> bool:
    """Whether it is proved that the service, which is gone, never had a task."""
    request = Request(
        target=wire.target(
            f"/v{version}/events",
            {"since": 1, "filters": {"type": ["service"], "service": [service_id]}},
        ),
        connect_seconds=endpoint.timeout,
        answer_seconds=endpoint.timeout,
        idle_seconds=_QUIET_SECONDS,
    )
    with JsonLines(endpoint, request, lambda: False) as lines:
        return proved(_until_gone(lines))


def proved(events: Iterable[Mapping[str, Any]]) -> bool:
    """Whether the events of one service prove that it is gone, and never had a task. Pure."""
    reaches_back = was_started = is_gone = False
    for event in events:
        action = str(event.get("Action") or "")
        attributes = (event.get("Actor") or {}).get("Attributes") or {}
        was_started = was_started or "replicas.new" in attributes
        reaches_back = reaches_back or action == "create"
        is_gone = is_gone or action == "remove"
    return reaches_back and is_gone and not was_started


def _until_gone(lines: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    with suppress(Silence):
        for event in lines:
            yield event
            if event.get("Action") == "remove":
                return

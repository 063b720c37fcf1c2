"""News of tasks. A manager tells of no task by itself, and of containers only on its own node.

So it is asked for all of ours once a second, and what happens on its own node is told at once besides.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any
from uuid import UUID

from hosts.errors import DockerConnectionError
from hosts.executors.contract import Hint
from hosts.executors.docker import events
from hosts.executors.docker.client import unexpected
from hosts.executors.docker.endpoint import Endpoint
from hosts.executors.docker.lines import JsonLines, Silence
from hosts.executors.stop import descriptor_of
from hosts.executors.swarm.tasks import Task

ASK_EVERY_SECONDS = 1.0
_SERVICE_ID = "com.docker.swarm.service.id"

Tasks = Callable[[], list[dict[str, Any]]]


class News:
    """What has changed since the tasks were looked at last. `over` are the ids of those that have ended."""

    def __init__(self) -> None:
        self.over: frozenset[str] = frozenset()
        self._states: dict[str, str] | None = None

    def take(self, told: list[dict[str, Any]]) -> list[Hint]:
        """A hint for each task that has started or ended, or come to be, since this was called last."""
        tasks = {one["ID"]: (Task.of(one), str(one.get("ServiceID") or "")) for one in told}
        before, first_time = self._states or {}, self._states is None
        self._states = {key: _phase(task) for key, (task, _) in tasks.items()}
        self.over = frozenset(key for key, phase in self._states.items() if phase == "die")
        if first_time:
            return []
        return [
            Hint(container_id=service_id, action=self._states[key], at=task.changed_at)
            for key, (task, service_id) in tasks.items()
            if self._states[key] != before.get(key, "create") and service_id
        ]


def _phase(task: Task) -> str:
    if task.is_over or task.state == "orphaned":
        return "die"
    return "start" if task.state == "running" else "create"


def watch(
    endpoint: Endpoint, version: str, installation: UUID, stop: threading.Event, tasks: Tasks, news: News
) -> Iterator[Hint]:
    """Yield hints until `stop` is set; DockerConnectionError when the manager does not answer any more."""
    request = events.news_request(version, installation, ASK_EVERY_SECONDS)
    with JsonLines(endpoint, request, stop.is_set, wake=descriptor_of(stop)) as lines:
        status = lines.status()
        if status not in {0, HTTPStatus.OK}:
            raise unexpected(endpoint.name, status, lines.refusal())
        if not status:
            return
        yield Hint(container_id=None, action="connected")
        due = 0.0
        for event in _with_pauses(lines):
            hint = _local(event) if event else None
            if hint:
                yield hint
            if time.monotonic() >= due and not stop.is_set():
                yield from news.take(tasks())
                due = time.monotonic() + ASK_EVERY_SECONDS
    if not stop.is_set():
        raise DockerConnectionError(f"{endpoint.name}: the engine ended its stream of events.")


def _with_pauses(lines: JsonLines) -> Iterator[Mapping[str, Any] | None]:
    """The events as they come, and None after each second without one."""
    yield None
    while True:
        try:
            yield from lines
        except Silence:
            yield None
        else:
            return


def _local(event: Mapping[str, Any]) -> Hint | None:
    hint = events.hint_of(dict(event))
    service_id = ((event.get("Actor") or {}).get("Attributes") or {}).get(_SERVICE_ID)
    if not service_id:  # a container of the engine's own, by a host of the kind `docker`
        return None
    return Hint(container_id=service_id, action=hint.action, at=hint.at, job=hint.job, detail=hint.detail)

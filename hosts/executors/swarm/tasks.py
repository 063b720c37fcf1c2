"""What a service and its task say of the job, in the words of the contract. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hosts.executors.contract import ContainerState, Observation
from hosts.executors.docker.client import one_line
from hosts.executors.docker.readings import log_limit, moment
from hosts.executors.swarm import spec

_ENDED = {"complete", "shutdown", "failed", "rejected", "remove", "orphaned"}
_NOT_PLACED = {"new", "allocated", "pending"}
_ON_THE_WAY = {*_NOT_PLACED, "assigned", "accepted", "preparing", "ready", "starting"}
_TO_END = {"shutdown", "remove"}


@dataclass(frozen=True, slots=True)
class Task:
    """A service's one task, as far as the swarm knows it."""

    id: str
    node_id: str
    state: str
    desired: str
    message: str
    error: str
    container_id: str
    told_code: int | None
    created_at: datetime | None
    changed_at: datetime | None

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Task:
        """From an entry of GET /tasks."""
        status = told.get("Status") or {}
        container = status.get("ContainerStatus") or {}
        return cls(
            id=told["ID"],
            node_id=told.get("NodeID") or "",
            state=str(status.get("State") or ""),
            desired=str(told.get("DesiredState") or ""),
            message=str(status.get("Message") or ""),
            error=one_line(status.get("Err") or ""),
            container_id=container.get("ContainerID") or "",
            told_code=container.get("ExitCode"),
            created_at=moment(told.get("CreatedAt")),
            changed_at=moment(status.get("Timestamp")),
        )

    @property
    def is_over(self) -> bool:
        """Whether it has ended, or will never begin."""
        never_placed = self.state in _NOT_PLACED and not self.node_id and self.desired in _TO_END
        return self.state in _ENDED or never_placed

    @property
    def is_on_the_way(self) -> bool:
        """Whether it is still to be started on a node."""
        return self.state in _ON_THE_WAY and not self.is_over

    @property
    def waits_for_a_node(self) -> bool:
        """Whether the scheduler has looked, and no node would take it."""
        return self.state in _NOT_PLACED and bool(self.error)

    @property
    def has_started(self) -> bool:
        """Whether its container is known to have run."""
        return self.state == "running" or (self.is_over and self.message in {"started", "finished"})

    @property
    def exit_code(self) -> int | None:
        """Of its container, if that has ended and its node could tell how."""
        if not self.is_over or not self.container_id or self.told_code is None or self.told_code < 0:
            return None
        # A node that lost the container tells 0 of it, and that it failed.
        return None if self.state in {"failed", "orphaned"} and not self.told_code else self.told_code


def task_of(told: Iterable[Mapping[str, Any]]) -> Task | None:
    """The task of the job among those of its service: the first one ever.

    A service that is stopped gets another, which waits in vain for a node until the service is deleted.
    """
    first = min(told, key=lambda one: str(one.get("CreatedAt") or ""), default=None)
    return Task.of(first) if first else None


def observation(service: Mapping[str, Any], task: Task | None) -> Observation:
    """The job by what the swarm knows; its node may know more."""
    described = service["Spec"]
    driver = described["TaskTemplate"].get("LogDriver") or {}
    return Observation(
        container_id=service["ID"],
        name=spec.name_of(service),
        state=_state(service, task),
        labels=spec.labels_of(service),
        exit_code=task.exit_code if task else None,
        started_at=_started_at(task),
        finished_at=task.changed_at if task and task.is_over else None,
        error=_error(service, task),
        metadata=_metadata(service, task),
        log_limit_bytes=log_limit({"Type": driver.get("Name"), "Config": driver.get("Options")}),
    )


def _state(service: Mapping[str, Any], task: Task | None) -> ContainerState:
    if task is None:
        return "starting" if spec.replicas(service) else "created"
    return "exited" if task.is_over else "starting" if task.is_on_the_way else "running"


def _started_at(task: Task | None) -> datetime | None:
    if task is None or not task.has_started:
        return None
    # Of a task that has ended the swarm does not tell any more when it started.
    return task.changed_at if task.state == "running" else task.created_at


def _error(service: Mapping[str, Any], task: Task | None) -> str:
    if task is None or not task.is_over:
        return task.error or task.message if task and task.is_on_the_way else ""
    limit = ((service["Spec"]["TaskTemplate"].get("Resources") or {}).get("Limits") or {}).get("MemoryBytes")
    if limit and task.exit_code == _KILLED:
        return "If it ran out of memory, only its node knows: a swarm does not tell."
    # What it says of an exit code says no more than the code.
    return "" if task.error.startswith("task: non-zero exit") else task.error


_KILLED = 137


def _metadata(service: Mapping[str, Any], task: Task | None) -> dict[str, Any]:
    known = {"service_name": service["Spec"]["Name"], "service_id": service["ID"]}
    if task is None:
        return known
    return {
        **known,
        "task_id": task.id,
        "task_state": task.state,
        "task_message": task.error or task.message,
        "node_id": task.node_id,
        "container_id": task.container_id,
    }

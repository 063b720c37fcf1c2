"""Services and tasks of one swarm, by calls to one of its managers."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from hosts.errors import ConfigurationError
from hosts.executors.contract import LABEL_PREFIX, EngineFacts, HostView
from hosts.executors.docker import readings
from hosts.executors.docker.client import Client, Reply
from hosts.executors.swarm import refusals
from hosts.executors.swarm.names import service_name
from hosts.executors.swarm.tasks import Task, task_of

Service = dict[str, Any]

_MOST_CHANGES = 8
_CHANGED_WAIT_SECONDS = 0.05


class Swarm:
    """What a manager says, and what it is told to change. Raises DockerConnectionError if it says nothing."""

    def __init__(self, host: HostView, client: Client) -> None:
        self._host, self._client = host, client
        self._node_id = ""

    def facts(self) -> EngineFacts:
        """The swarm as one engine; ConfigurationError if what answers is no manager of one."""
        version = self._client.negotiate()
        info = self._client.expect(self._client.get("/info"))
        told = info.get("Swarm") or {}
        if not told.get("ControlAvailable"):
            raise ConfigurationError(f"{self._host.name}: {refusals.NO_MANAGER}")
        self._node_id = str(told["NodeID"])
        able = self.able_nodes()
        return replace(
            readings.engine_facts(version, info),
            # Of the swarm, whichever of its managers is asked: two hosts must not share it.
            engine_id=f"swarm {told['Cluster']['ID']}",
            cpus=round(sum(_cpus(node) for node in able)),
            memory_bytes=sum(_memory(node) for node in able),
            containers_running=None,
            # Of its machine, which is one of many.
            cpu_percent=None,
            memory_used_bytes=None,
            disk_free_bytes=None,
            disk_total_bytes=None,
        )

    def able_nodes(self) -> list[dict[str, Any]]:
        """The nodes that take tasks now."""
        nodes = self._client.expect(self._client.get("/nodes"))
        return [
            node
            for node in nodes
            if node["Status"].get("State") == "ready" and node["Spec"].get("Availability") == "active"
        ]

    def largest(self) -> tuple[float, int]:
        """The most CPUs and the most bytes of memory that one node has, of those that take tasks now."""
        able = self.able_nodes()
        return max(map(_cpus, able), default=0.0), max(map(_memory, able), default=0)

    def node_id(self) -> str:
        """The node that we talk to."""
        if not self._node_id:
            self.facts()
        return self._node_id

    def has_node(self, node_id: str) -> bool:
        """Whether a node is part of the swarm, up or down."""
        reply = self._client.get(f"/nodes/{quote(node_id, safe='')}")
        if reply.status == HTTPStatus.NOT_FOUND and "node" in reply.message.lower():
            return False
        return bool(self._client.expect(reply))

    def service(self, ref: str) -> Service | None:
        """The service with this id, or of the container of this name; None if the swarm has none."""
        reply = self._client.get(f"/services/{quote(service_name(ref), safe='')}")
        if refusals.says_gone(reply):
            return None
        found: Service = self._client.expect(reply)
        return found

    def services(self) -> list[Service]:
        """Every service of this installation."""
        found: list[Service] = self._client.expect(self._client.get("/services", params=self._ours()))
        return found

    def task(self, service: Service) -> Task | None:
        """The task of a service; None before there is one.

        One whose node has been away for a day is said to run on: nobody knows. Once the node was removed
        from the swarm, it is over.
        """
        params = {"filters": json.dumps({"service": [service["ID"]]})}
        return self._known(task_of(self._client.expect(self._client.get("/tasks", params=params))))

    def tasks(self, client: Client | None = None) -> list[dict[str, Any]]:
        """Every task of this installation, as the manager tells of it."""
        client = client or self._client
        found: list[dict[str, Any]] = client.expect(client.get("/tasks", params=self._ours()))
        return found

    def tasks_by_service(self) -> Callable[[Service], Task | None]:
        """As `task`, for many services, by one look."""
        told: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for one in self.tasks():
            told[str(one.get("ServiceID"))].append(one)
        return lambda service: self._known(task_of(told[service["ID"]]))

    def update(self, service: Service, spec: Mapping[str, Any]) -> Reply:
        """Change a service if nobody has since it was looked at; see `refusals.is_out_of_sequence`."""
        return self._client.post(
            f"/services/{service['ID']}/update",
            params={"version": service["Version"]["Index"]},
            body=spec,
        )

    def change(
        self, service_id: str, wanted: Callable[[Service], Mapping[str, Any] | None]
    ) -> tuple[Service | None, bool]:
        """Change a service into what is `wanted` of it, or leave it as it is where that is None.

        The service as it was looked at last (None: it is gone), and whether it was changed. It is looked at
        again, and asked about again, if it was changed meanwhile: the manager itself does so to one that
        joins networks.
        """
        for _ in range(_MOST_CHANGES):
            service = self.service(service_id)
            spec = wanted(service) if service else None
            if service is None or spec is None:
                return service, False
            reply = self.update(service, spec)
            if reply.status < HTTPStatus.BAD_REQUEST:
                return service, True
            if not refusals.is_out_of_sequence(reply):
                break
            time.sleep(_CHANGED_WAIT_SECONDS)
        raise self._client.unexpected(reply)

    def delete(self, service: Service) -> None:
        """Delete a service; one that is gone is fine."""
        reply = self._client.delete(f"/services/{service['ID']}")
        if reply.status >= HTTPStatus.BAD_REQUEST and not refusals.says_gone(reply):
            raise self._client.unexpected(reply)

    def _known(self, task: Task | None) -> Task | None:
        if task is None or task.state != "orphaned" or not self.has_node(task.node_id):
            return task
        return replace(task, state="running", message="Its node is away.")

    def _ours(self) -> dict[str, str]:
        label = f"{LABEL_PREFIX}installation={self._host.installation}"
        return {"filters": json.dumps({"label": [label]})}


def _cpus(node: Mapping[str, Any]) -> float:
    return float(_resources(node).get("NanoCPUs") or 0) / 1e9


def _memory(node: Mapping[str, Any]) -> int:
    return int(_resources(node).get("MemoryBytes") or 0)


def _resources(node: Mapping[str, Any]) -> Mapping[str, Any]:
    return (node.get("Description") or {}).get("Resources") or {}


def labels_of(services: Iterable[Service], key: str) -> list[str]:
    """Our label `tallyman.<key>` of each of the services."""
    return [(one["Spec"].get("Labels") or {}).get(f"{LABEL_PREFIX}{key}", "") for one in services]

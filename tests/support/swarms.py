"""Docker Swarms for tests, on engines of our own: each node is one `dockerd`, at a port of 127.0.0.1."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from typing import Any

import docker

from tests.support.engines import Engine, free_port, running_engine
from tests.support.waiting import wait_until

NODE_SECONDS = 30.0


class SwarmNode:
    """One engine that is part of a swarm. `url` is its engine's."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.port = free_port()

    @property
    def url(self) -> str:
        """Where its engine listens."""
        return self.engine.url

    @property
    def api(self) -> docker.APIClient:
        """A client of its engine."""
        return self.engine.api

    @property
    def id(self) -> str:
        """Its id in the swarm."""
        return str(self.api.info()["Swarm"]["NodeID"])

    @property
    def _address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def init(self) -> None:
        """Begin a swarm, as its manager."""
        unkind = self.api.create_swarm_spec(
            # A node is believed to be down after three of these, 15 s by default.
            dispatcher_heartbeat_period=1_000_000_000,
            # It forgets ended tasks as soon as it may; by default it keeps five.
            task_history_retention_limit=0,
        )
        self.api.init_swarm(advertise_addr=self._address, listen_addr=self._address, swarm_spec=unkind)

    def join(self, manager: SwarmNode) -> None:
        """Become a worker of the manager's swarm."""
        token = manager.api.inspect_swarm()["JoinTokens"]["Worker"]
        self.api.join_swarm([manager._address], token, self._address, self._address)
        wait_until(lambda: manager.node_state(self.id) == "ready", NODE_SECONDS, "the node to be ready")

    def forget_the_swarm(self) -> None:
        """If its engine was killed: let it start as one that was never in a swarm, which is 20 s sooner."""
        if not self.engine.running:
            shutil.rmtree(self.engine.folder / "data/swarm")

    def node_state(self, node_id: str) -> str:
        """What this manager says of a node: ready or down."""
        return str(self.api.inspect_node(node_id)["Status"]["State"])

    def label(self, node_id: str, **labels: str) -> None:
        """Give a node these labels, and no others."""
        node = self.api.inspect_node(node_id)
        self.api.update_node(node_id, node["Version"]["Index"], {**node["Spec"], "Labels": labels})

    def services(self) -> list[dict[str, Any]]:
        """Every service of the swarm."""
        found: list[dict[str, Any]] = self.api.services()
        return found

    def tasks(self, service_id: str) -> list[dict[str, Any]]:
        """Every task that a service has or had."""
        found: list[dict[str, Any]] = self.api.tasks(filters={"service": service_id})
        return found

    def clear(self) -> None:
        """Remove every service and secret, and wait for the containers on this node to be gone."""
        for service in self.services():
            with contextlib.suppress(docker.errors.NotFound):
                self.api.remove_service(service["ID"])
        for secret in self.api.secrets():
            with contextlib.suppress(docker.errors.NotFound):
                self.api.remove_secret(secret["ID"])

    def everything(self) -> str:
        """All that the swarm shows of its services, tasks and secrets, and this engine of its containers."""
        containers = [self.api.inspect_container(one["Id"]) for one in self.api.containers(all=True)]
        return json.dumps([self.services(), self.api.tasks(), self.api.secrets(), containers])


@contextlib.contextmanager
def swarm_of_two() -> Iterator[tuple[SwarmNode, SwarmNode]]:
    """A manager, and a worker that joined it by its token."""
    with running_swarm() as manager, running_engine() as engine:
        worker = SwarmNode(engine)
        worker.join(manager)
        try:
            yield manager, worker
        finally:
            worker.forget_the_swarm()


@contextlib.contextmanager
def running_swarm(*options: str, secluded: bool = False) -> Iterator[SwarmNode]:
    """A swarm of one node, gone without a trace afterwards."""
    with running_engine(*options, secluded=secluded) as engine:
        node = SwarmNode(engine)
        node.init()
        yield node

"""The conformance suite on a real Docker Swarm."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import docker
import pytest

from hosts.executors.contract import HostView
from hosts.executors.swarm.names import service_name
from tests.conformance.kit import Kit
from tests.conformance.suite import Conformance


def host_at(base_url: str) -> HostView:
    return HostView(
        id=uuid.uuid4(),
        name="conformance",
        executor_type="swarm",
        base_url=base_url,
        installation=uuid.uuid4(),
        policy={"root": True},
    )


class SwarmKit(Kit):
    nowhere = host_at("unix:///nowhere/docker.sock")
    wrong_settings = (
        ("gopher://engine", {}),
        ("unix:///a", {"tiemout": 5}),
        ("unix:///a", {"constraints": "node.role==worker"}),
        ("unix:///a", {"constraints": ["no comparison"]}),
        ("unix:///a", {"reserve": "yes"}),
    )

    def __init__(self, swarm) -> None:
        super().__init__(host_at(swarm.url))
        self._api = swarm.api
        self._foreign: list[str] = []

    def make_foreign(self, name: str) -> Callable[[], bool]:
        template = docker.types.TaskTemplate(docker.types.ContainerSpec(self.image, ["true"]))
        mode = docker.types.ServiceMode("replicated", 0)
        made = self._api.create_service(template, name=service_name(name), mode=mode)["ID"]
        self._foreign.append(made)
        return lambda: self._api.inspect_service(made)["Spec"]["Mode"]["Replicated"]["Replicas"] == 0

    def clean(self) -> None:
        super().clean()
        for service_id in self._foreign:
            try:
                self._api.remove_service(service_id)
            except docker.errors.NotFound:
                continue


@pytest.mark.docker
class TestSwarm(Conformance):
    @pytest.fixture
    def kit(self, swarm) -> Kit:
        return SwarmKit(swarm)

"""The conformance suite on a real Docker engine."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import docker
import pytest

from hosts.executors.contract import HostView
from tests.conformance.kit import Kit
from tests.conformance.suite import Conformance


def host_at(base_url: str) -> HostView:
    return HostView(
        id=uuid.uuid4(),
        name="conformance",
        executor_type="docker",
        base_url=base_url,
        installation=uuid.uuid4(),
        policy={"root": True},
    )


class DockerKit(Kit):
    missing_image = "no.such/image:ever"
    nowhere = host_at("unix:///nowhere/docker.sock")
    wrong_settings = (
        ("gopher://engine", {}),
        ("tcp://host", {}),
        ("unix:///a", {"timeout": "soon"}),
        ("unix:///a", {"tiemout": 5}),
    )

    def __init__(self, engine) -> None:
        super().__init__(host_at(engine.url))
        self._api = engine.api
        self._foreign: list[str] = []

    def make_foreign(self, name: str) -> Callable[[], bool]:
        made = self._api.create_container(self.image, ["true"], name=name)["Id"]
        self._foreign.append(made)
        return lambda: self._api.inspect_container(made)["State"]["Status"] == "created"

    def clean(self) -> None:
        super().clean()
        for container_id in self._foreign:
            try:
                self._api.remove_container(container_id, force=True)
            except docker.errors.NotFound:
                continue


@pytest.mark.docker
class TestDocker(Conformance):
    @pytest.fixture
    def kit(self, docker_engine) -> Kit:
        return DockerKit(docker_engine)

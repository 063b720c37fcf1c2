"""One engine for all tests here that can share it, emptied of our containers after each."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from hosts.models import DockerHost
from jobs.models import ContainerTemplate
from tests.supervisor.working import AnyEngine
from tests.support.relay import Relay
from tests.support.requirements import missing

ROOT = {"root": True}  # as the one image runs that there is
OURS = {"label": "tallyman.installation"}


@pytest.fixture
def engine(docker_engine: AnyEngine) -> Iterator[AnyEngine]:
    """The shared engine; containers of any installation of ours go when the test ends."""
    yield docker_engine
    for container in docker_engine.api.containers(all=True, filters=OURS):
        with contextlib.suppress(docker.errors.NotFound):
            docker_engine.api.remove_container(container["Id"], force=True, v=True)


@pytest.fixture
def host(engine: AnyEngine, transactional_db: None) -> DockerHost:
    """The shared engine as a host."""
    return DockerHost.objects.create(name="docker", connection_string=engine.url, policy=ROOT)


@pytest.fixture
def relay(engine: AnyEngine) -> Iterator[Relay]:
    """A way to the engine, which can be cut and frozen."""
    if not engine.url.startswith("unix://"):
        missing("docker", "the engine that answers has no socket on this machine")
    with Relay(engine.url.removeprefix("unix://")) as relay:
        yield relay


@pytest.fixture
def far_host(relay: Relay, transactional_db: None) -> DockerHost:
    """The shared engine as a host at the other end of the relay."""
    config = {"timeout": 1}
    return DockerHost.objects.create(
        name="far", connection_string=relay.url, executor_config=config, policy=ROOT
    )


@pytest.fixture
def other_host(tmp_path: Path, transactional_db: None) -> DockerHost:
    """A second host: plain processes of this machine."""
    root = str(tmp_path / "jobs")
    return DockerHost.objects.create(name="here", executor_type="process", executor_config={"root": root})


@pytest.fixture
def template(transactional_db: None) -> ContainerTemplate:
    """For short commands of the one image that there is."""
    return ContainerTemplate.objects.create(
        name="t", docker_image="busybox:latest", command="true", timeout_seconds=60, stop_grace_seconds=1
    )

"""Pulls from Docker's own registry server, which wants a password."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hosts.errors import ContainerExecutionError
from hosts.executors.docker import DockerExecutor
from tests.support import real_registry
from tests.support.containers import host_view, job_view, run
from tests.support.requirements import missing

pytestmark = pytest.mark.docker

LOGIN = real_registry.LOGIN


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if reason := real_registry.unavailable():
        missing("docker-registry", reason)
    with real_registry.running_registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture
def image(address, docker_engine) -> Iterator[str]:
    """An image that the registry has, and the engine has not."""
    name = f"{address}/team/app:1"
    docker_engine.api.tag("busybox:latest", name)
    told = docker_engine.api.push(name, auth_config=LOGIN)
    assert "errorDetail" not in told
    docker_engine.api.remove_image(name)
    yield name
    if docker_engine.api.images(name):
        docker_engine.api.remove_image(name, force=True)


def executor_with(docker_engine, address: str, **login: str) -> DockerExecutor:
    logins = {"registries": {address: login}} if login else {}
    policy = {"root": True, "images": [f"{address}/team/*"]}
    return DockerExecutor(host_view(docker_engine.url, policy=policy, **logins))


def pull(executor: DockerExecutor, image: str) -> None:
    executor.pull(image, progress=lambda _: None, cancelled=lambda: False)


def test_with_its_login_an_image_is_pulled_and_its_digest_kept(docker_engine, address, image):
    executor = executor_with(docker_engine, address, **LOGIN)

    pull(executor, image)
    seen = run(executor, job_view("true", template={"docker_image": image}))

    (digest,) = docker_engine.api.inspect_image(image)["RepoDigests"]
    assert seen.metadata["image_digest"] == digest.partition("@")[2]
    executor.remove(seen.container_id)
    executor.close()


@pytest.mark.parametrize(
    ("login", "words"),
    [
        ({}, "No login is set"),
        ({"username": "user", "password": "wrong"}, "was refused"),
    ],
)
def test_without_the_right_login_it_is_refused_and_the_command_that_helps_is_named(
    docker_engine, address, image, login, words
):
    executor = executor_with(docker_engine, address, **login)

    with pytest.raises(ContainerExecutionError) as caught:
        pull(executor, image)

    assert words in caught.value.hint
    assert f"registry-login testhost {address}" in caught.value.hint
    assert "wrong" not in f"{caught.value} {caught.value.hint}"
    assert not docker_engine.api.images(image)
    executor.close()

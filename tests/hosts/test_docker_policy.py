"""What of a policy only the engine can tell: an image's user, what a volume is made of, what an id is of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hosts.errors import ContainerExecutionError, ImageMissing
from hosts.executors import option_reader
from hosts.executors.contract import JobView, Network
from hosts.executors.docker import DockerExecutor
from tests.support.containers import host_view, job_view, launch, until_exited

pytestmark = pytest.mark.docker

Strict = Callable[..., DockerExecutor]


@pytest.fixture
def strict(docker_engine) -> Iterator[Strict]:
    """Makes executors of hosts that allow what is said, and root not by itself."""
    made: list[DockerExecutor] = []

    def make(**policy: Any) -> DockerExecutor:
        made.append(DockerExecutor(host_view(docker_engine.url, policy=policy)))
        return made[-1]

    yield make
    for executor in made:
        for seen in executor.list_containers():
            executor.remove(seen.container_id, force=True)
        executor.close()


@pytest.fixture
def image_of(docker_engine) -> Iterator[Callable[[str], str]]:
    """Makes images that say whom they run as."""
    names: list[str] = []

    def make(user: str) -> str:
        name = f"policy-test:{len(names)}"
        made = docker_engine.api.create_container("busybox:latest", ["true"])
        docker_engine.api.commit(made["Id"], *name.split(":"), changes=f"USER {user}")
        docker_engine.api.remove_container(made["Id"])
        names.append(name)
        return name

    yield make
    for name in names:
        docker_engine.api.remove_image(name, force=True)


def job(image: str = "busybox:latest", networks: tuple[Network, ...] = (), **options: Any) -> JobView:
    template = {"docker_image": image, "options": option_reader.read(options)}
    return job_view("id", "-u", template=template, networks=networks)


def refusal(executor: DockerExecutor, wanted: JobView) -> str:
    with pytest.raises(ContainerExecutionError) as caught:
        executor.create(wanted)
    assert caught.value.failure_class == "not_allowed"
    assert executor.list_containers() == []
    return f"{caught.value} {caught.value.hint}"


def test_an_image_that_says_nothing_runs_as_root_and_is_refused(strict):
    words = refusal(strict(), job())

    assert words.startswith("The image busybox:latest runs as root, which the host does not allow.")
    assert "Give the template a user by number" in words


@pytest.mark.parametrize(("user", "words"), [("0:5", "runs as root"), ("nobody", "write a number")])
def test_an_image_that_says_root_or_a_name_is_refused_as_well(strict, image_of, user, words):
    assert words in refusal(strict(), job(image_of(user)))


def test_whom_the_image_names_by_number_it_runs_as_whatever_becomes_of_its_tag(
    strict, image_of, docker_engine
):
    container_id = strict().create(job(image_of("1234:56"))).container_id

    assert docker_engine.api.inspect_container(container_id)["Config"]["User"] == "1234:56"


def test_a_user_by_number_runs_without_any_capability_and_can_gain_none(strict, docker_engine):
    executor = strict()
    words = "grep -E '^(CapBnd|CapPrm|CapEff|NoNewPrivs|Uid)' /proc/self/status"
    wanted = job(user="1000:100")
    shown = launch(executor, job_view("sh", "-c", words, template={"options": wanted.template.options}))
    until_exited(executor, shown)

    lines = docker_engine.api.logs(shown).decode()
    nothing = "0" * 16
    for line in ("NoNewPrivs:\t1", f"CapBnd:\t{nothing}", f"CapEff:\t{nothing}", "Uid:\t1000\t1000"):
        assert line in lines


def test_an_image_that_is_not_there_is_to_be_pulled_first(strict):
    with pytest.raises(ImageMissing):
        strict().create(job("busybox:unheard-of"))


def test_a_volume_that_is_a_folder_of_the_machine_has_to_be_named(strict, docker_engine):
    disguise = {"type": "none", "o": "bind", "device": "/etc"}
    docker_engine.api.create_volume("policy-disguise", driver="local", driver_opts=disguise)
    wanted = job(user="1000", volumes=["policy-disguise:/x", "policy-plain:/y"])
    try:
        assert "is made of /etc" in refusal(strict(), wanted)
        assert "not among those" in refusal(strict(volumes=["other"]), wanted)
        named = strict(volumes=["policy-*"]).create(wanted)
        assert named.fresh
        strict().create(job(user="1000", volumes=["policy-plain:/y"]))
    finally:
        for container in docker_engine.api.containers(all=True, filters={"label": "tallyman.job"}):
            docker_engine.api.remove_container(container["Id"], force=True)
        for name in ("policy-disguise", "policy-plain"):
            docker_engine.api.remove_volume(name)


def test_the_hosts_network_is_not_to_be_had_by_its_id(strict, docker_engine):
    (host_network,) = docker_engine.api.networks(names=["host"])
    for length in (64, 12):
        by_id = Network(name=host_network["Id"][:length])
        assert "no name of a network" in refusal(strict(), job(user="1000", networks=(by_id,)))

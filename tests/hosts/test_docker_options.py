"""Each container option of a template, as a real container shows it; and what a host's policy forbids."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hosts.errors import ConfigurationError, ContainerExecutionError, ImageMissing, LaunchFailed
from hosts.executors import option_reader
from hosts.executors.contract import JobView, Network
from hosts.executors.docker import DockerExecutor
from hosts.executors.frames import STDOUT
from tests.support.containers import host_view, job_view, launch, read_log, run, until_exited, written
from tests.support.engines import free_port

pytestmark = pytest.mark.docker

EVERYTHING = {
    "entrypoint": "sh -c 'echo \"$0 $*\"; id -u; touch /cache/x && ! touch /root-file; sleep 60'",
    "user": "1000:100",
    "container_labels": {"team": "billing", "com.example/stage": ""},
    "tmpfs": {"/cache": "size=1m,mode=1777", "/scratch": ""},
    "extra_hosts": {"db": "10.0.0.5", "six": "2001:db8::1"},
    "resources": {
        "swap_mb": 32,
        "pids": 99,
        "shm_mb": 5,
        "ulimits": {"nofile": [512, 1024], "nproc": 600, "core": 0},
    },
    "security": {
        "read_only": True,
        "cap_drop": ["ALL"],
        "cap_add": ["chown", "CAP_SYS_NICE"],
        "no_new_privileges": False,
        "init": False,
    },
}
POLICY = {"capabilities": ["SYS_NICE"], "new_privileges": True}


def job_with(
    *command: str, networks: tuple[Network, ...] = (), limit: int | None = None, **options
) -> JobView:
    """A job of a template with these container options, as they are written in it."""
    fields: dict[str, Any] = {"memory_limit": limit, "options": option_reader.read(options)}
    return job_view(*command, template=fields, networks=networks)


@pytest.fixture
def network(docker_engine) -> Iterator[str]:
    """A network of users, which ports need."""
    made = docker_engine.api.create_network("net-options")
    yield "net-options"
    docker_engine.api.remove_network(made["Id"])


@pytest.fixture
def allowing(docker_engine) -> Iterator[Any]:
    """Makes executors whose hosts have a policy; their containers go when the test ends."""
    made: list[DockerExecutor] = []

    def make(**policy: Any) -> DockerExecutor:
        made.append(DockerExecutor(host_view(docker_engine.url, policy={"root": True, **policy})))
        return made[-1]

    yield make
    for executor in made:
        for seen in executor.list_containers():
            executor.remove(seen.container_id, force=True)
        executor.close()


def test_every_option_stands_in_the_container_and_works(allowing, docker_engine, network, tmp_path):
    executor = allowing(paths=[str(tmp_path), "/etc:ro"], **POLICY)
    volumes = [f"{tmp_path}:/bound", "/etc/hostname:/host name:ro", "options-test:/named"]
    ports = ["8080", "127.0.0.1:0:53/udp"]
    job = job_with(
        *("one", "two words"),
        networks=(Network(name=network, aliases=("web",)),),
        limit=64,
        volumes=volumes,
        ports=ports,
        **EVERYTHING,
    )
    assert {*EVERYTHING, "volumes", "ports"} == set(option_reader.FIELDS)

    container_id = launch(executor, job)

    made = docker_engine.api.inspect_container(container_id)
    config, how = made["Config"], made["HostConfig"]
    assert config["Entrypoint"][:2] == ["sh", "-c"]
    assert config["Cmd"] == ["one", "two words"]
    assert config["User"] == "1000:100"
    assert {"team": "billing", "com.example/stage": ""}.items() <= config["Labels"].items()
    assert set(config["ExposedPorts"]) == {"8080/tcp", "53/udp"}
    expected = {
        "Tmpfs": {"/cache": "size=1m,mode=1777", "/scratch": ""},
        "ExtraHosts": ["db:10.0.0.5", "six:2001:db8::1"],
        "Memory": 64 * 2**20,
        "MemorySwap": 96 * 2**20,
        "PidsLimit": 99,
        "ShmSize": 5 * 2**20,
        "ReadonlyRootfs": True,
        "CapDrop": ["ALL"],
        "CapAdd": ["CHOWN", "SYS_NICE"],
        "SecurityOpt": None,
        "Init": False,
        "Privileged": False,
        "PidMode": "",
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
    }
    assert {key: how[key] or None if key == "SecurityOpt" else how[key] for key in expected} == expected
    assert how["LogConfig"]["Type"] == "local"
    assert {(one["Name"], one["Soft"], one["Hard"]) for one in how["Ulimits"]} == {
        *(("nofile", 512, 1024), ("nproc", 600, 600), ("core", 0, 0))
    }
    mounts = {one["Destination"]: (one["Type"], one["RW"]) for one in made["Mounts"]}
    assert (
        mounts.items()
        >= {
            "/bound": ("bind", True),
            "/host name": ("bind", False),
            "/named": ("volume", True),
        }.items()
    )
    assert made["NetworkSettings"]["Networks"][network]["Aliases"][0] == "web"

    seen = executor.observe(container_id)
    assert seen is not None
    assert seen.metadata["volumes"] == volumes
    assert set(seen.metadata["ports"]) == {"8080/tcp", "53/udp"}
    assert all(isinstance(port, int) and port > 0 for port in seen.metadata["ports"].values())
    assert seen.metadata["network"] == network
    assert seen.metadata["image_digest"].startswith("sha256:")
    assert (seen.metadata["container_name"], seen.metadata["container_id"]) == (
        job.container_name,
        container_id,
    )
    assert {label for label in config["Labels"] if label.startswith("tallyman.")} == {
        f"tallyman.{name}" for name in ("installation", "host", "job", "attempt", "epoch", "protocol")
    }
    executor.signal(container_id, "KILL")
    ended = until_exited(executor, container_id)
    assert ended.metadata["ports"] == seen.metadata["ports"], "they are known although it has ended"
    executor.remove(container_id, force=True)
    docker_engine.api.remove_volume("options-test")


def test_the_program_runs_as_its_options_say(allowing):
    job = job_with(
        "one", "two words", **{**EVERYTHING, "entrypoint": EVERYTHING["entrypoint"][:-11] + "'"}, limit=64
    )
    executor = allowing(**POLICY)

    ended = run(executor, job)

    assert written(read_log(executor, ended.container_id), STDOUT) == b"one two words\n1000\n"
    assert ended.exit_code == 0


@pytest.mark.parametrize(
    ("gpus", "request_for"),
    [
        ("all", {"Count": -1, "DeviceIDs": None}),
        (2, {"Count": 2, "DeviceIDs": None}),
        (["0", "GPU-3a"], {"Count": 0, "DeviceIDs": ["0", "GPU-3a"]}),
    ],
)
def test_gpus_are_asked_for_and_a_host_without_them_refuses_the_start(
    allowing, docker_engine, gpus, request_for
):
    executor = allowing(gpus=True)
    container_id = executor.create(job_with("true", resources={"gpus": gpus})).container_id

    (asked,) = docker_engine.api.inspect_container(container_id)["HostConfig"]["DeviceRequests"]
    assert {key: asked[key] for key in request_for} == request_for
    assert asked["Capabilities"] == [["gpu"]]
    with pytest.raises(ContainerExecutionError, match="device driver") as caught:
        executor.start(container_id)
    assert caught.value.failure_class == "start_refused"
    assert "GPU" in caught.value.hint


def test_what_only_a_policy_allows_works_where_it_does(allowing, docker_engine):
    executor = allowing(privileged=True, host_network=True, host_pid=True, devices=["/dev/null"])
    security = {"privileged": True, "host_pid": True, "devices": ["/dev/null:/dev/void:rw"]}
    job = job_with("sleep", "60", networks=(Network(name="host"),), security=security)

    how = docker_engine.api.inspect_container(executor.create(job).container_id)["HostConfig"]

    assert (how["Privileged"], how["PidMode"], how["NetworkMode"]) == (True, "host", "host")
    assert how["Devices"] == [
        {"PathOnHost": "/dev/null", "PathInContainer": "/dev/void", "CgroupPermissions": "rw"}
    ]


REFUSED: tuple[tuple[dict[str, Any], dict[str, Any], str], ...] = (
    ({}, {"security": {"privileged": True}}, "privileged"),
    ({"privileged": False}, {"security": {"privileged": True}}, "privileged"),
    ({}, {"security": {"host_pid": True}}, "host_pid"),
    ({}, {"security": {"cap_add": ["NET_ADMIN"]}}, "NET_ADMIN"),
    ({"capabilities": ["NET_ADMIN"]}, {"security": {"cap_add": ["ALL"]}}, "capability ALL"),
    ({}, {"security": {"devices": ["/dev/fuse"]}}, "/dev/fuse"),
    ({}, {"networks": (Network(name="host"),)}, "own network"),
    ({}, {"networks": (Network(name="none"), Network(name="host"))}, "own network"),
    ({"host_network": True}, {"networks": (Network(name="container:x"),)}, "somebody else's"),
    ({}, {"volumes": ["/etc:/etc"]}, "/etc"),
    ({"paths": ["/etc:ro"]}, {"volumes": ["/etc:/x"]}, "for writing"),
    ({"paths": ["/srv/data"]}, {"volumes": ["/srv/database:/x:ro"]}, "/srv/database"),
    ({"paths": ["/srv/data/"]}, {"volumes": ["/srv:/x"]}, "/srv"),
    ({"images": ["alpine", "registry.example/**"]}, {}, "busybox:latest"),
)


@pytest.mark.parametrize(("policy", "options", "words"), REFUSED)
def test_what_the_policy_forbids_is_refused_and_nothing_is_created(allowing, policy, options, words):
    executor = allowing(**policy)
    job = job_with("true", **options)

    with pytest.raises(ContainerExecutionError, match=words) as caught:
        executor.create(job)

    assert caught.value.failure_class == "not_allowed"
    assert "testhost" in caught.value.hint
    assert executor.list_containers() == []


def test_an_image_that_is_not_allowed_is_not_pulled(allowing, docker_engine):
    executor = allowing(images=["busybox"])

    with pytest.raises(ContainerExecutionError, match="not among the images") as caught:
        executor.pull("127.0.0.1:1/app:1", progress=lambda _: None, cancelled=lambda: False)

    assert caught.value.failure_class == "not_allowed"
    with pytest.raises(ImageMissing):  # allowed, and so asked for
        executor.create(job_view("true", template={"docker_image": "busybox:unheard-of"}))


def test_a_container_made_before_the_policy_forbade_it_is_shown(allowing):
    before = allowing()
    job = job_view("true")
    made = before.create(job)
    after = DockerExecutor(host_view(before.host.base_url, policy={"images": ["alpine"]}))

    seen = after.create(job)

    assert (seen.container_id, seen.fresh) == (made.container_id, False)
    after.close()


def test_a_host_whose_policy_cannot_be_read_gets_no_executor(docker_engine):
    with pytest.raises(ConfigurationError, match="privileged must be true or false"):
        DockerExecutor(host_view(docker_engine.url, policy={"privileged": "yes"}))


def test_a_path_that_is_not_there_is_refused_and_not_made(allowing, tmp_path: Path):
    executor = allowing(paths=[str(tmp_path)])

    with pytest.raises(ContainerExecutionError, match="path does not exist") as caught:
        executor.create(job_with("true", volumes=[f"{tmp_path}/missing:/x"]))

    assert "volumes of the template" in caught.value.hint
    assert executor.list_containers() == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"user": "nobody-knows"}, "user of the template"),
        ({"security": {"devices": ["/dev/not-there"]}}, "devices in security"),
    ],
)
def test_what_the_engine_cannot_start_says_which_field_to_correct(allowing, options, words):
    executor = allowing(devices=["/dev/not-there"])
    container_id = executor.create(job_with("true", **options)).container_id

    with pytest.raises(ContainerExecutionError) as caught:
        executor.start(container_id)

    assert caught.value.failure_class == "start_refused"
    assert words in caught.value.hint
    assert executor.observe(container_id).started_at is None


def test_a_port_that_is_taken_may_be_free_later(executor, network):
    job = {"networks": (Network(name=network),), "ports": [f"127.0.0.1:{free_port()}:80"]}
    launch(executor, job_with("sleep", "60", **job))
    second = executor.create(job_with("true", **job)).container_id

    with pytest.raises(LaunchFailed) as caught:
        executor.start(second)

    assert caught.value.failure_class == "port_taken"
    assert executor.observe(second).started_at is None
    for seen in executor.list_containers():
        executor.remove(seen.container_id, force=True)

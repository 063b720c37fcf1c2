"""Each field of a template's row, and what hangs on it, as `docker inspect` shows it of a real container."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hosts.executors.docker import DockerExecutor
from jobs import freezing, spec
from jobs.models import ContainerTemplate, EnvironmentVariable, NetworkAssignment
from tests.jobs.attempts import make_attempt
from tests.support.containers import host_view
from tests.support.factories import make_job

pytestmark = [pytest.mark.docker, pytest.mark.django_db]

IMAGE = "localhost/inspected:v1"
POLICY = {
    "paths": ["/etc:ro"],
    "capabilities": ["NET_ADMIN"],
    "devices": ["/dev/null"],
    "host_pid": True,
    "gpus": True,
}
MEBIBYTE = 2**20
# What is written in the field, where it is seen, and what is seen there.
Seen = tuple[Any, Callable[[dict[str, Any]], Any], Any]


def config(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda made: made["Config"][name]


def host(*names: str) -> Callable[[dict[str, Any]], Any]:
    return lambda made: {name: made["HostConfig"][name] for name in names}


def mounts(made: dict[str, Any]) -> list[tuple[str, str, bool]]:
    return sorted((one["Type"], one["Destination"], one["RW"]) for one in made["Mounts"])


def limits(made: dict[str, Any]) -> dict[str, Any]:
    how = made["HostConfig"]
    ulimits = [(one["Name"], one["Soft"], one["Hard"]) for one in how["Ulimits"]]
    gpus = [(one["DeviceIDs"], one["Capabilities"]) for one in how["DeviceRequests"]]
    return {**host("MemorySwap", "PidsLimit", "ShmSize")(made), "ulimits": ulimits, "gpus": gpus}


def security(made: dict[str, Any]) -> dict[str, Any]:
    how = made["HostConfig"]
    names = ("ReadonlyRootfs", "CapAdd", "CapDrop", "Init", "PidMode")
    devices = [one["PathInContainer"] for one in how["Devices"]]
    return {**host(*names)(made), "opt": "no-new-privileges" in how["SecurityOpt"], "devices": devices}


FIELDS: dict[str, Seen] = {
    "docker_image": (IMAGE, config("Image"), IMAGE),
    "command": (
        "run 'two words' --name=\"a b\" $HOME",
        config("Cmd"),
        ["run", "two words", "--name=a b", "$HOME"],
    ),
    "entrypoint": ("tini -- sh", config("Entrypoint"), ["tini", "--", "sh"]),
    "user": ("1000:100", config("User"), "1000:100"),
    "working_directory": ("/srv", config("WorkingDir"), "/srv"),
    "container_labels": ({"team": "billing"}, lambda made: made["Config"]["Labels"]["team"], "billing"),
    "volumes": (
        ["inspected:/named", "/etc/hostname:/bound:ro"],
        mounts,
        [("bind", "/bound", False), ("volume", "/named", True)],
    ),
    "tmpfs": ({"/cache": "size=1m"}, host("Tmpfs"), {"Tmpfs": {"/cache": "size=1m"}}),
    "extra_hosts": ({"db": "10.0.0.5"}, host("ExtraHosts"), {"ExtraHosts": ["db:10.0.0.5"]}),
    "ports": (
        ["127.0.0.1:9000:80/udp"],
        host("PortBindings"),
        {"PortBindings": {"80/udp": [{"HostIp": "127.0.0.1", "HostPort": "9000"}]}},
    ),
    "resources": (
        {"swap_mb": 32, "pids": 99, "shm_mb": 5, "ulimits": {"nofile": [512, 1024]}, "gpus": ["0"]},
        limits,
        {
            **{"MemorySwap": 160 * MEBIBYTE, "PidsLimit": 99, "ShmSize": 5 * MEBIBYTE},
            **{"ulimits": [("nofile", 512, 1024)], "gpus": [(["0"], [["gpu"]])]},
        },
    ),
    "security": (
        {
            **{"read_only": True, "cap_add": ["NET_ADMIN"], "cap_drop": ["ALL"], "init": False},
            **{"no_new_privileges": True, "host_pid": True, "devices": ["/dev/null:/dev/void"]},
        },
        security,
        {
            **{"ReadonlyRootfs": True, "CapAdd": ["NET_ADMIN"], "CapDrop": ["ALL"], "Init": False},
            **{"PidMode": "host", "opt": True, "devices": ["/dev/void"]},
        },
    ),
    "memory_limit": (128, host("Memory"), {"Memory": 128 * MEBIBYTE}),
    "cpu_limit": ("0.50", host("NanoCpus"), {"NanoCpus": 500_000_000}),
    "stop_signal": ("SIGUSR1", config("StopSignal"), "SIGUSR1"),
    "stop_grace_seconds": (7, config("StopTimeout"), 7),
    "tty": (True, config("Tty"), True),
    "max_log_bytes": (3 * 2**30, lambda made: made["HostConfig"]["LogConfig"]["Config"]["max-size"], "12g"),
}
# For people, for placement, for whoever launches, follows and tries again: no engine hears of these.
NOT_OF_A_CONTAINER = {
    *("id", "name", "description", "archived_at", "created_at", "updated_at"),
    *("required_executor", "required_labels", "preferred_labels", "max_concurrent", "limit_key"),
    *("timeout_seconds", "start_deadline_seconds", "pull_policy", "infra_retries"),
    *("max_attempts", "retry_on", "retry_delay_seconds", "retry_max_delay_seconds"),
}


def test_no_field_of_the_template_is_forgotten_here() -> None:
    stored = {one.name for one in ContainerTemplate._meta.concrete_fields}
    assert stored == FIELDS.keys() | NOT_OF_A_CONTAINER


@pytest.fixture
def networks(docker_engine: Any) -> Iterator[list[str]]:
    """Two networks of users; whoever is in them leaves first."""
    names = ["inspected-a", "inspected-b"]
    made = [docker_engine.api.create_network(name)["Id"] for name in names]
    yield names
    for network in made:
        docker_engine.api.remove_network(network)


def test_every_field_of_a_templates_row_is_seen_in_inspect(docker_engine: Any, networks: list[str]) -> None:
    docker_engine.api.tag("busybox:latest", *IMAGE.split(":"), force=True)
    template = ContainerTemplate(
        name="every field", **{name: value for name, (value, _, _) in FIELDS.items()}
    )
    template.full_clean()
    template.save()
    for key, is_secret in (("PLAIN", False), ("TOKEN", True)):
        EnvironmentVariable.objects.create(template=template, key=key, value=key.lower(), is_secret=is_secret)
    for name in networks:
        NetworkAssignment.objects.create(template=template, network_name=name, aliases=[f"on-{name}"])

    made = inspected(template, docker_engine)

    assert {name: look(made) for name, (_, look, _) in FIELDS.items()} == {
        name: expected for name, (_, _, expected) in FIELDS.items()
    }
    assert {"PLAIN=plain", "TOKEN=token"} <= set(made["Config"]["Env"])
    joined = made["NetworkSettings"]["Networks"]
    assert {name: joined[name]["Aliases"][0] for name in joined} == {name: f"on-{name}" for name in networks}


def inspected(template: ContainerTemplate, docker_engine: Any) -> dict[str, Any]:
    """What the engine tells of a container that is made as a claim and a launch make it."""
    job = make_job(ContainerTemplate.objects.get(pk=template.pk))
    attempt = make_attempt(job=job)
    attempt.spec = freezing.frozen_now(job)
    view = spec.thaw(attempt, template_secrets={"TOKEN": "token"}, job_secrets={})
    executor = DockerExecutor(host_view(docker_engine.url, policy=POLICY))
    container_id = executor.create(view).container_id
    try:
        told: dict[str, Any] = docker_engine.api.inspect_container(container_id)
        return told
    finally:
        executor.remove(container_id)
        executor.close()
        docker_engine.api.remove_volume("inspected")
        docker_engine.api.remove_image(IMAGE)

"""Nothing that a template says of a container is lost on the way to the engine: each field changes the body.

What the engine makes of each is seen in `test_docker_fields` and `test_docker_options`.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from hosts.executors.container_options import (
    ContainerOptions,
    Device,
    Port,
    Resources,
    Security,
    Ulimit,
    Volume,
)
from hosts.executors.contract import TemplateView
from hosts.executors.docker import spec
from tests.support.containers import host_view, job_view

TEMPLATE: dict[str, Any] = {
    "docker_image": "other:1",
    "working_directory": "/srv",
    "memory_limit": 512,
    "cpu_limit": 0.5,
    "max_log_bytes": 2**40,
    "stop_signal": "SIGINT",
    "stop_grace_seconds": 3,
}
# Of the job (`command`), the worker's own business, or a name for people.
NO_FIELD_OF_A_CONTAINER = {"name", "command", "timeout_seconds", "options"}
OPTIONS: dict[str, Any] = {
    "entrypoint": ("tini",),
    "user": "app",
    "container_labels": {"a": "b"},
    "volumes": (Volume("cache", "/cache"),),
    "tmpfs": {"/tmp": ""},
    "extra_hosts": {"db": "10.0.0.5"},
    "ports": (Port(80),),
}
RESOURCES: dict[str, Any] = {
    "swap_mb": 5,
    "pids": 7,
    "shm_mb": 5,
    "ulimits": (Ulimit("nofile", 5, 5),),
    "gpus": "all",
}
SECURITY: dict[str, Any] = {
    "read_only": True,
    "cap_add": ("CHOWN",),
    "cap_drop": ("ALL",),
    "no_new_privileges": False,
    "init": False,
    "privileged": True,
    "host_pid": True,
    "devices": (Device("/dev/fuse", "/dev/fuse"),),
}


def body(**template: Any) -> dict[str, Any]:
    return spec.create_body(host_view("unix:///nowhere"), job_of(template))


def job_of(template: dict[str, Any]) -> Any:
    job = job_view("true")
    return replace(job, template=replace(job.template, **{"memory_limit": 64, **template}))


@pytest.mark.parametrize("name", sorted(TEMPLATE))
def test_each_field_of_the_template_changes_what_is_made(name: str):
    assert body(**{name: TEMPLATE[name]}) != body()


@pytest.mark.parametrize(
    "options",
    [
        *(ContainerOptions(**{name: value}) for name, value in OPTIONS.items()),
        *(ContainerOptions(resources=Resources(**{name: value})) for name, value in RESOURCES.items()),
        *(ContainerOptions(security=Security(**{name: value})) for name, value in SECURITY.items()),
    ],
    ids=[*OPTIONS, *RESOURCES, *SECURITY],
)
def test_each_option_changes_what_is_made(options: ContainerOptions):
    assert body(options=options) != body()


def test_no_field_is_forgotten_here():
    assert {one.name for one in fields(TemplateView)} == TEMPLATE.keys() | NO_FIELD_OF_A_CONTAINER
    assert {one.name for one in fields(ContainerOptions)} == OPTIONS.keys() | {"resources", "security"}
    assert {one.name for one in fields(Resources)} == RESOURCES.keys()
    assert {one.name for one in fields(Security)} == SECURITY.keys()

"""Rows for tests, as bare as they may be: what is not asked for is a default."""

from __future__ import annotations

from typing import Any

from hosts.models import DockerHost
from jobs.models import ContainerJob, ContainerTemplate


def make_host(name: str = "host-a", **fields: Any) -> DockerHost:
    """A host that nobody has seen yet."""
    return DockerHost.objects.create(name=name, **{"connection_string": f"unix:///run/{name}.sock", **fields})


def make_template(name: str = "t", **fields: Any) -> ContainerTemplate:
    """A template of an image that no test pulls."""
    return ContainerTemplate.objects.create(name=name, **{"docker_image": "busybox:latest", **fields})


def make_job(
    template: ContainerTemplate | None = None, host: DockerHost | None = None, **fields: Any
) -> ContainerJob:
    """A pending job; without a template, of the template `t`, made if there is none."""
    template = template or ContainerTemplate.objects.filter(name="t").first() or make_template()
    return ContainerJob.objects.create(template=template, docker_host=host, **fields)

"""What an attempt becomes on ECS: a task definition, which others share, and one request to run it. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hosts.errors import ContainerExecutionError
from hosts.executors.contract import HostView, JobView
from hosts.executors.fargate import identity, sizes
from hosts.executors.fargate.configuration import Settings

CONTAINER = "job"
CONTENT_TAG = "tallyman.content"
MOST_OVERRIDES = 8192  # characters, those of the JSON included
_LEAST_GRACE, _MOST_GRACE, _GRACE = 2, 120, 10
_FAMILY_DIGITS = 32


@dataclass(frozen=True, slots=True)
class Definition:
    """A RegisterTaskDefinition request; equal contents have equal families."""

    content: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """SHA-256 of the content."""
        text = json.dumps(self.content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def family(self) -> str:
        """The name under which the content is registered."""
        return f"tallyman-{self.digest[:_FAMILY_DIGITS]}"

    def registration(self, tags: Mapping[str, str]) -> dict[str, Any]:
        """The whole request."""
        return {**self.content, "family": self.family, "tags": _pairs({**tags, CONTENT_TAG: self.digest})}


def definition_of(job: JobView, settings: Settings) -> Definition:
    """All of an attempt that others may share; ContainerExecutionError if Fargate has no task so large.

    What is of the job alone (command and environment, with its secrets) is not in it: it stays for ever.
    """
    template = job.template
    memory = template.memory_limit or settings.default_memory
    size = sizes.smallest(template.cpu_limit or settings.default_cpu, memory)
    content: dict[str, Any] = {
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": str(size.cpu),
        "memory": str(size.memory),
        "runtimePlatform": {
            "cpuArchitecture": settings.cpu_architecture,
            "operatingSystemFamily": "LINUX",
        },
        "containerDefinitions": [_container(job, settings, template.memory_limit or size.memory)],
    }
    optional = {
        "executionRoleArn": settings.execution_role_arn,
        "taskRoleArn": settings.task_role_arn,
        "ephemeralStorage": settings.ephemeral_storage_gib and {"sizeInGiB": settings.ephemeral_storage_gib},
    }
    return Definition({**content, **{name: value for name, value in optional.items() if value}})


def _container(job: JobView, settings: Settings, memory: int) -> dict[str, Any]:
    image, grace = job.template.docker_image, job.template.stop_grace_seconds
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": image,
        "essential": True,
        "memory": memory,
        "stopTimeout": max(_LEAST_GRACE, min(_MOST_GRACE, _GRACE if grace is None else grace)),
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": settings.log_group,
                "awslogs-region": settings.region,
                "awslogs-stream-prefix": settings.log_stream_prefix,
                # The other mode drops lines when there are many, without a word.
                "mode": "blocking",
            },
        },
    }
    if job.template.working_directory:
        container["workingDirectory"] = job.template.working_directory
    secret = settings.repository_credentials.get(image.split("/", 1)[0])
    if secret:
        container["repositoryCredentials"] = {"credentialsParameter": secret}
    return container


def log_stream(settings: Settings, task_arn: str) -> str:
    """Where the log driver puts the log of a task."""
    return f"{settings.log_stream_prefix}/{CONTAINER}/{task_arn.rsplit('/', 1)[-1]}"


def run_of(host: HostView, job: JobView, settings: Settings, definition_arn: str) -> dict[str, Any]:
    """The RunTask request of an attempt; ContainerExecutionError if it is larger than ECS takes.

    Its token is the attempt's id: however often it is sent, one task comes of it.
    """
    network: dict[str, Any] = {
        "subnets": list(settings.subnets),
        "assignPublicIp": settings.assign_public_ip,
    }
    if settings.security_groups:
        network["securityGroups"] = list(settings.security_groups)
    request = {
        "cluster": settings.cluster,
        "taskDefinition": definition_arn,
        "count": 1,
        "platformVersion": settings.platform_version,
        "networkConfiguration": {"awsvpcConfiguration": network},
        "overrides": _overrides(job),
        "startedBy": identity.started_by(host),
        "clientToken": str(job.attempt_id),
        "tags": _pairs({**settings.tags, **identity.tags_of(host, job)}),
    }
    if settings.capacity_provider:
        request["capacityProviderStrategy"] = [{"capacityProvider": settings.capacity_provider, "weight": 1}]
    else:
        request["launchType"] = "FARGATE"
    return request


def _overrides(job: JobView) -> dict[str, Any]:
    variables = [{"name": key, "value": value} for key, value in sorted(job.environment.items())]
    container: dict[str, Any] = {"name": CONTAINER, "environment": variables}
    if job.command:
        container["command"] = list(job.command)
    overrides = {"containerOverrides": [container]}
    size = len(json.dumps(overrides))
    if size > MOST_OVERRIDES:
        raise ContainerExecutionError(
            f"Command and environment of the job come to {size} characters; ECS takes {MOST_OVERRIDES}.",
            failure_class="bad_spec",
            hint="Put large values into the image, or into a store that the task's role may read.",
        )
    return overrides


def _pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in sorted(tags.items())]

"""The Job that is made for a container, as the v2 API takes it. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hosts.errors import ContainerExecutionError
from hosts.executors.cloudrun import naming, resources
from hosts.executors.cloudrun.configuration import LONGEST_TASK_SECONDS, Settings
from hosts.executors.contract import HostView, JobView, labels_for

# Our own deadline comes first; this one is for a task whose worker is away by then.
_MARGIN_SECONDS = 60


def job_body(host: HostView, settings: Settings, job: JobView, *, nonce: str) -> dict[str, Any]:
    """Without a token, so nothing is started. ContainerExecutionError if Cloud Run has nothing like it."""
    return {
        "labels": naming.labels_there(labels_for(host, job)),
        "annotations": {naming.NAME_ANNOTATION: job.container_name, naming.NONCE_ANNOTATION: nonce},
        "client": "tallyman",
        "template": {"task_count": 1, "parallelism": 1, "template": _task(settings, job)},
    }


def task_timeout(settings: Settings, timeout_seconds: int) -> int:
    """After how many seconds Cloud Run itself ends the task: before our deadline only if the host says so."""
    own = min(timeout_seconds + _MARGIN_SECONDS, LONGEST_TASK_SECONDS)
    return min(own, settings.task_timeout or own)


def _task(settings: Settings, job: JobView) -> dict[str, Any]:
    task: dict[str, Any] = {
        "containers": [_container(settings, job)],
        "max_retries": 0,  # whether it runs again is not for the service to say
        "timeout": timedelta(seconds=task_timeout(settings, job.template.timeout_seconds)),
    }
    if settings.service_account:
        task["service_account"] = settings.service_account
    if settings.vpc_connector:
        task["vpc_access"] = {"connector": settings.vpc_connector}
    return task


def _container(settings: Settings, job: JobView) -> dict[str, Any]:
    container: dict[str, Any] = {
        "image": job.template.docker_image,
        "env": [{"name": key, "value": value} for key, value in job.environment.items()],
    }
    if job.command:
        # As with Docker, a command replaces the image's CMD, and its ENTRYPOINT stays.
        container["args"] = list(job.command)
    if job.template.working_directory:
        container["working_dir"] = job.template.working_directory
    if limits := _limits(settings, job):
        container["resources"] = {"limits": limits}
    return container


def _limits(settings: Settings, job: JobView) -> dict[str, str]:
    cpus, memory_mb = job.template.cpu_limit, job.template.memory_limit
    try:
        return resources.limits(
            resources.cpus_of(settings.cpu_limit) if cpus is None else cpus,
            resources.memory_mb_of(settings.memory_limit) if memory_mb is None else memory_mb,
        )
    except ValueError as exc:
        raise ContainerExecutionError(
            str(exc), failure_class="too_large", hint="Lower cpu_limit and memory_limit of the template."
        ) from exc

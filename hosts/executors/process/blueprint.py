"""What a job view becomes on a process host: the spec and the environment that its folder holds."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

from django.conf import settings

from hosts.errors import ContainerExecutionError
from hosts.executors.contract import HostView, JobView, labels_for
from hosts.executors.process.processes import MARK
from hosts.executors.process.root import is_name
from hosts.executors.process.store import Spec


def spec_of(host: HostView, job: JobView) -> Spec:
    """What to run, under a new id; ContainerExecutionError if a process host cannot run it."""
    if not job.command:
        raise ContainerExecutionError(
            "The job has no command, and a process host has no image that could bring one.",
            failure_class="no_command",
            hint="Give the template or the job a command, or run it on a Docker host.",
        )
    if not is_name(job.container_name):
        raise ContainerExecutionError(
            f"{job.container_name!r} cannot be the name of a folder.", failure_class="bad_spec"
        )
    if job.tty:
        raise ContainerExecutionError(
            "The process executor has no terminal to give.",
            failure_class="create_refused",
            hint="Clear tty on the template, or send the job to a Docker host.",
        )
    return Spec(
        id=secrets.token_hex(32),
        name=job.container_name,
        labels=labels_for(host, job),
        command=job.command,
        directory=os.path.join(settings.BASE_DIR, job.template.working_directory),
        memory_limit=job.template.memory_limit,
        cpu_limit=job.template.cpu_limit,
    )


def environment_of(job: JobView, spec: Spec) -> dict[str, str]:
    """The job's own, on top of three of the worker's: none of the worker's secrets gets there."""
    interpreter, path = str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)
    return {
        "PATH": path if interpreter in path.split(os.pathsep) else os.pathsep.join((interpreter, path)),
        "HOME": os.environ.get("HOME", "/"),
        "LANG": os.environ.get("LANG", "C.UTF-8"),
        **job.environment,
        MARK: spec.id,
    }

"""What a job becomes in a swarm's own words: the body of POST /services/create, and its updates. Pure.

Not the mode `ReplicatedJob`, which looks made for this: its orchestrator does not count a task that failed,
so whenever a manager starts, or another one becomes the leader, it makes a new task for each such job. With
engine 20.10 a job that had ended with exit code 3 ran once more when its engine was restarted, whatever the
restart policy said. A replicated service whose tasks are never restarted keeps to the one that it had.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any

from hosts import policy
from hosts.errors import ContainerExecutionError
from hosts.executors.contract import HostView, JobView, labels_for
from hosts.executors.docker.spec import log_options
from hosts.executors.swarm.names import service_name

SECRETS_FOLDER = "/run/secrets"
# A service with this label is never started: whoever set it deletes the service next.
DISCARDED = "tallyman.discarded"
# The container's name that the service stands for, whose own has to be shorter.
NAME = "tallyman.name"
# No node has this id, so a service that demands it stops what it runs and begins nothing.
NOWHERE = "node.id==tallyman-stopped"

_MEBIBYTE = 1024 * 1024
_NANO = 1_000_000_000
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
# Not to be restarted is not enough: a swarm forgets ended tasks beyond its history limit, and makes new ones
# for them. Of a service that says how often to restart, it keeps one more than that, whatever the limit is.
_NEVER_AGAIN = {"Condition": "none", "MaxAttempts": 1}


def secrets_of(job: JobView) -> dict[str, str]:
    """The secrets that become files; ContainerExecutionError for one whose name no file can have.

    An empty one stays in the environment: a swarm keeps no empty secrets, and it tells nothing.
    """
    for name in sorted(job.secret_names & job.environment.keys()):
        if not _FILE_NAME.fullmatch(name):
            raise ContainerExecutionError(
                f"The secret {name!r} cannot be a file in {SECRETS_FOLDER}, as it is on a swarm.",
                failure_class="bad_spec",
                hint="Give it a name of letters, digits and underscores.",
            )
    return {name: job.environment[name] for name in sorted(job.secret_names) if job.environment.get(name)}


def create_body(host: HostView, job: JobView, secrets: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The service for the job, with no task yet; `secrets` are made by `secret_reference`."""
    if not job.template.docker_image:
        raise ContainerExecutionError(
            "The job names no image.",
            failure_class="create_refused",
            hint="Give the template its docker_image.",
        )
    labels = labels_for(host, job)
    return {
        "Name": service_name(job.container_name),
        "Labels": {**labels, NAME: job.container_name},
        "Mode": {"Replicated": {"Replicas": 0}},
        # A name in a network is the job's own address; it needs no second one to share among many.
        "EndpointSpec": {"Mode": "dnsrr"},
        "TaskTemplate": {
            "ContainerSpec": _container(host, job, labels, secrets),
            "Resources": _resources(host, job),
            "RestartPolicy": dict(_NEVER_AGAIN),
            "Placement": {"Constraints": list(host.config.get("constraints") or ())},
            "LogDriver": {"Name": "local", "Options": log_options(host.config, job)},
            "Networks": [
                {"Target": network.name, "Aliases": list(network.aliases)} for network in job.networks
            ],
        },
    }


def _container(
    host: HostView, job: JobView, labels: Mapping[str, str], secrets: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    container: dict[str, Any] = {
        "Image": job.template.docker_image,
        "Env": _environment(job),
        "Labels": dict(labels),
        "Dir": job.template.working_directory,
        "User": job.template.options.user,
        "TTY": job.tty,
        "Init": host.config.get("init", True),
        # Engines before 26 do not know it, and leave it out.
        "Privileges": {"NoNewPrivileges": True},
        # Engines before 20.10 leave these two out as well.
        "CapabilityAdd": list(job.template.options.security.cap_add),
        "CapabilityDrop": list(job.template.options.security.cap_drop),
        "Secrets": list(secrets),
    }
    if job.command:
        container["Args"] = list(job.command)
    if job.template.stop_signal:
        container["StopSignal"] = job.template.stop_signal
    if job.template.stop_grace_seconds is not None:
        container["StopGracePeriod"] = job.template.stop_grace_seconds * _NANO
    return container


def _environment(job: JobView) -> list[str]:
    files = secrets_of(job)
    given = {name: value for name, value in job.environment.items() if name not in files}
    # As official images take them: NAME_FILE says where NAME can be read.
    told = {f"{name}_FILE": f"{SECRETS_FOLDER}/{name}" for name in files}
    return [f"{name}={value}" for name, value in {**told, **given}.items()]


def _resources(host: HostView, job: JobView) -> dict[str, Any]:
    wanted: dict[str, int] = {}
    if job.template.memory_limit:
        wanted["MemoryBytes"] = job.template.memory_limit * _MEBIBYTE
    if job.template.cpu_limit:
        wanted["NanoCPUs"] = round(job.template.cpu_limit * _NANO)
    reserved = wanted if host.config.get("reserve", True) else {}
    return {"Limits": {**wanted, "Pids": policy.pids_limit(host.policy)}, "Reservations": reserved}


def secret_reference(secret_id: str, secret_name: str, variable: str) -> dict[str, Any]:
    """How a service mounts a secret: readable to whatever user the image runs as."""
    file = {"Name": variable, "UID": "0", "GID": "0", "Mode": 0o444}
    return {"SecretID": secret_id, "SecretName": secret_name, "File": file}


def started(service: Mapping[str, Any]) -> dict[str, Any] | None:
    """The spec by which a service gets its one task; None if it has been asked for, or must not be."""
    if replicas(service) or is_discarded(service):
        return None
    spec = copy.deepcopy(dict(service["Spec"]))
    spec["Mode"] = {"Replicated": {"Replicas": 1}}
    return spec


def discarded(service: Mapping[str, Any]) -> dict[str, Any] | None:
    """The spec by which a service cannot be started any more; None if it was started, or is discarded."""
    if replicas(service) or is_discarded(service):
        return None
    spec = copy.deepcopy(dict(service["Spec"]))
    spec["Labels"] = {**(spec.get("Labels") or {}), DISCARDED: "1"}
    return spec


def stopped(service: Mapping[str, Any]) -> dict[str, Any] | None:
    """The spec by which a service's task is stopped, and stays known with its exit code and its log; None if
    it was told so."""
    placement = service["Spec"]["TaskTemplate"].get("Placement") or {}
    if NOWHERE in (placement.get("Constraints") or ()):
        return None
    spec = copy.deepcopy(dict(service["Spec"]))
    spec["TaskTemplate"]["Placement"] = {"Constraints": [NOWHERE]}
    return spec


def is_discarded(service: Mapping[str, Any]) -> bool:
    """Whether a service is not to be started any more."""
    return DISCARDED in (service["Spec"].get("Labels") or {})


def labels_of(service: Mapping[str, Any]) -> dict[str, str]:
    """A service's labels, but for those that are this module's own."""
    labels = service["Spec"].get("Labels") or {}
    return {key: value for key, value in labels.items() if key not in {DISCARDED, NAME}}


def name_of(service: Mapping[str, Any]) -> str:
    """The container's name that a service stands for; its own if it is none of ours."""
    return str((service["Spec"].get("Labels") or {}).get(NAME) or service["Spec"]["Name"])


def replicas(service: Mapping[str, Any]) -> int:
    """How many tasks a service is to have: 0 until it is started."""
    mode = service["Spec"].get("Mode") or {}
    return int((mode.get("Replicated") or {}).get("Replicas", 1))

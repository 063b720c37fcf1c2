"""What a job becomes in the engine's own words: the body of POST /containers/create. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hosts.errors import ContainerExecutionError
from hosts.executors.contract import HostView, JobView, Network, labels_for

LOG_MAX_SIZE = "2g"  # above any cap of ours: an engine that rotates a log loses bytes without a word
PIDS_LIMIT = 4096

_MEBIBYTE = 1024 * 1024
_NANO = 1_000_000_000


def create_body(host: HostView, job: JobView) -> dict[str, Any]:
    """The container for the job; ContainerExecutionError if no engine could make it.

    Only the first network is in it: engines before API 1.44 refuse a second one here.
    """
    if not job.template.docker_image:
        raise ContainerExecutionError(
            "The job names no image.",
            failure_class="create_refused",
            hint="Give the template its docker_image.",
        )
    body: dict[str, Any] = {
        "Image": job.template.docker_image,
        "Env": [f"{name}={value}" for name, value in job.environment.items()],
        "WorkingDir": job.template.working_directory,
        "Labels": labels_for(host, job),
        "Tty": False,
        "OpenStdin": False,
        "AttachStdin": False,
        "AttachStdout": False,
        "AttachStderr": False,
        "HostConfig": _host_config(host.config, job),
    }
    if job.command:
        body["Cmd"] = list(job.command)
    if job.networks and job.networks[0].aliases:
        first = job.networks[0]
        body["NetworkingConfig"] = {"EndpointsConfig": {first.name: {"Aliases": list(first.aliases)}}}
    return body


def connect_body(container_id: str, network: Network) -> dict[str, Any]:
    """The body of POST /networks/<name>/connect."""
    return {"Container": container_id, "EndpointConfig": {"Aliases": list(network.aliases)}}


def _host_config(config: Mapping[str, Any], job: JobView) -> dict[str, Any]:
    return {
        # "default" is the engine's bridge, or nothing but loopback on an engine without one.
        "NetworkMode": job.networks[0].name if job.networks else "default",
        "Init": config.get("init", True),
        # A container that ended must stay until its log and exit code are recorded, and never run again.
        "AutoRemove": False,
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        "LogConfig": {"Type": "local", "Config": _log_options(config)},
        "SecurityOpt": ["no-new-privileges"],
        "PidsLimit": PIDS_LIMIT,
        **_limits(job),
    }


def _log_options(config: Mapping[str, Any]) -> dict[str, str]:
    return {"max-size": config.get("log_max_size") or LOG_MAX_SIZE, "max-file": "2", "compress": "false"}


def _limits(job: JobView) -> dict[str, int]:
    limits: dict[str, int] = {}
    if job.template.memory_limit:
        # The same value for both means no swap: a job over its limit is killed, not slowed down.
        limits["Memory"] = limits["MemorySwap"] = job.template.memory_limit * _MEBIBYTE
    if job.template.cpu_limit:
        limits["NanoCpus"] = round(job.template.cpu_limit * _NANO)
    return limits

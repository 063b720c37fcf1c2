"""What a job becomes in the engine's own words: the body of POST /containers/create. Pure."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from typing import Any

from hosts import policy
from hosts.errors import ContainerExecutionError
from hosts.executors.contract import HostView, JobView, Network, labels_for
from hosts.executors.docker import options, secret_mounts

LEAST_LOG_FILE_BYTES = 2 * 1024**3

_GIBIBYTE = 1024**3
_NANO = 1_000_000_000
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kmgtp]?)(?:i?b)?", re.IGNORECASE)
_SIGNALS = {*signal.Signals.__members__, *(name[3:] for name in signal.Signals.__members__)}
_UNITS = {unit: 1024**power for power, unit in enumerate(["", "k", "m", "g", "t", "p"])}


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
        "Env": [f"{name}={value}" for name, value in secret_mounts.environment(job).items()],
        "WorkingDir": job.template.working_directory,
        "Labels": {**job.template.options.container_labels, **labels_for(host, job)},
        "Tty": job.tty,
        "OpenStdin": False,
        "AttachStdin": False,
        "AttachStdout": False,
        "AttachStderr": False,
        "HostConfig": _host_config(host, job),
        **_stop(job),
        **options.container(job.template.options),
    }
    if job.command:
        body["Cmd"] = list(job.command)
    if job.networks and job.networks[0].aliases:
        first = job.networks[0]
        body["NetworkingConfig"] = {"EndpointsConfig": {first.name: {"Aliases": list(first.aliases)}}}
    return body


def _stop(job: JobView) -> dict[str, Any]:
    """How `docker stop`, and an engine that is shut down, are to end it: as we do."""
    how: dict[str, Any] = {}
    if job.template.stop_signal.upper() in _SIGNALS:  # engines refuse a container with one that is none
        how["StopSignal"] = job.template.stop_signal.upper()
    if job.template.stop_grace_seconds is not None:
        how["StopTimeout"] = job.template.stop_grace_seconds
    return how


def connect_body(container_id: str, network: Network) -> dict[str, Any]:
    """The body of POST /networks/<name>/connect."""
    return {"Container": container_id, "EndpointConfig": {"Aliases": list(network.aliases)}}


def _host_config(host: HostView, job: JobView) -> dict[str, Any]:
    asked = options.host_config(
        job.template.options,
        memory_mb=job.template.memory_limit,
        init=host.config.get("init", True),
        pids=policy.pids_limit(host.policy),
    )
    return {
        # "default" is the engine's bridge, or nothing but loopback on an engine without one.
        "NetworkMode": job.networks[0].name if job.networks else "default",
        # A container that ended must stay until its log and exit code are recorded, and never run again.
        "AutoRemove": False,
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        "LogConfig": {"Type": "local", "Config": log_options(host.config, job)},
        **asked,
        "Mounts": [*asked["Mounts"], *secret_mounts.mounts(job)],
        **_limits(job),
    }


def log_options(config: Mapping[str, Any], job: JobView) -> dict[str, str]:
    """How the engine shall keep the log, so that it loses nothing of what is wanted of it."""
    size = config.get("log_max_size") or f"{-(-log_file_bytes(job.template.max_log_bytes) // _GIBIBYTE)}g"
    return {"max-size": size, "max-file": "2", "compress": "false"}


def log_file_bytes(max_log_bytes: int) -> int:
    """How large the engine may let a log grow before it rotates it, and so loses bytes without a word.

    Well above what is kept of a log: the engine adds 31 bytes to each line, so lines of 10 bytes take four
    times their size. A container that writes on and on fills two such files of its host's disk, no more.
    """
    return max(LEAST_LOG_FILE_BYTES, 4 * max_log_bytes)


def size_in_bytes(text: str) -> int | None:
    """A size as engines read it ("20m"); None if it is none."""
    found = _SIZE.fullmatch(text.strip())
    return int(float(found[1]) * _UNITS[found[2].lower()]) if found else None


def _limits(job: JobView) -> dict[str, int]:
    return {"NanoCpus": round(job.template.cpu_limit * _NANO)} if job.template.cpu_limit else {}

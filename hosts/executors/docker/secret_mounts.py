"""What a container that finds its secrets in files is made with; `secret_files` puts them there. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hosts.errors import ContainerExecutionError
from hosts.executors.contract import LABEL_PREFIX, HostView, JobView

FOLDER = "/run/secrets"
# A container with this label never runs: it lends its name to an upload, and is removed a moment later.
HELPER = f"{LABEL_PREFIX}secrets-of"
LEFT_BEHIND_SECONDS = 300.0

_LEAST_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Files:
    """What a container is to find, until it is started."""

    contents: Mapping[str, str]
    labels: Mapping[str, str]


def of_job(host: HostView, job: JobView) -> Files | None:
    """The job's secret files; None if it has none."""
    contents = {name: job.environment[name] for name in sorted(job.secret_files) if name in job.environment}
    if not contents:
        return None
    labels = {
        f"{LABEL_PREFIX}installation": str(host.installation),
        f"{LABEL_PREFIX}host": str(host.id),
        HELPER: job.container_name,
    }
    return Files(contents, labels)


def environment(job: JobView) -> dict[str, str]:
    """The job's variables; instead of a secret that is a file, NAME_FILE says where it is."""
    given = {name: value for name, value in job.environment.items() if name not in job.secret_files}
    return {**{f"{name}_FILE": f"{FOLDER}/{name}" for name in sorted(job.secret_files)}, **given}


def mounts(job: JobView) -> list[dict[str, Any]]:
    """The volume for the files, if there are any; ContainerExecutionError if its place is taken."""
    if not job.secret_files:
        return []
    options = job.template.options
    taken = [volume.target for volume in options.volumes] + list(options.tmpfs)
    if clash := next((one for one in taken if one == FOLDER or one.startswith(f"{FOLDER}/")), None):
        raise ContainerExecutionError(
            f"The template mounts something at {clash}, where its secret files are to be.",
            failure_class="bad_spec",
            hint=f"Mount it elsewhere, or hand the secrets over as variables: {FOLDER} is theirs.",
        )
    size = max(_LEAST_BYTES, 2 * sum(len(one.encode()) for one in job.environment.values()))
    tmpfs = f"size={size},mode=0755,nosuid,nodev,noexec"
    driver = {"Name": "local", "Options": {"type": "tmpfs", "device": "tmpfs", "o": tmpfs}}
    return [{"Type": "volume", "Target": FOLDER, "VolumeOptions": {"NoCopy": True, "DriverConfig": driver}}]


def left_behind(entry: Mapping[str, Any], now: float) -> bool:
    """Whether an entry of GET /containers/json is a helper that nobody will remove any more."""
    return is_helper(entry) and now - float(entry.get("Created") or now) > LEFT_BEHIND_SECONDS


def is_helper(entry: Mapping[str, Any]) -> bool:
    """Whether an entry of GET /containers/json is no job's container."""
    return HELPER in (entry.get("Labels") or {})

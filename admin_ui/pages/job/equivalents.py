"""What one would type instead of looking at a job's page: manage.py, and Docker's own commands.

Secrets are not in them: a variable that is one stands there by its name, to be taken from the shell. Pure.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from admin_ui.pages.job import merging
from hosts.masking import mask_field, mask_text
from jobs.models import Attempt, ContainerJob
from jobs.states import ENDED_STATUSES, JobStatus

_MANAGE = "manage.py manage_container_job"
# A container of these is Docker's, and can be looked at as any other.
_OF_DOCKER = ("docker", "swarm")


@dataclass(frozen=True, slots=True)
class Command:
    """One line for a shell, and what it does."""

    label: str | Promise
    line: str


def manage(job: ContainerJob) -> list[Command]:
    """The commands of Tallyman for this job as it is."""
    found = [
        Command(_("This page"), f"{_MANAGE} show {job.pk}"),
        Command(_("Its log"), f"{_MANAGE} show {job.pk} --logs"),
    ]
    if job.status not in ENDED_STATUSES:
        found.append(Command(_("Follow its log"), f"{_MANAGE} show {job.pk} --follow"))
        found.append(Command(_("Cancel it"), f"{_MANAGE} cancel {job.pk}"))
    if job.status == JobStatus.PENDING:
        found.append(Command(_("Why it waits"), f"{_MANAGE} explain {job.pk}"))
    return found


def docker(attempt: Attempt, frozen: Mapping[str, Any], *, tell_host: bool) -> list[Command]:
    """Docker's commands for the container of an attempt; none if its engine is not Docker's."""
    if attempt.host.executor_type not in _OF_DOCKER:
        return []
    where = mask_text(attempt.host.connection_string) if tell_host else ""
    begin = ["docker", *(["--host", where] if where else [])]
    name = attempt.container_id[:12] or attempt.container_name
    found = []
    if attempt.host.executor_type == "docker" and attempt.container_gone_at is None:
        found = [
            Command(_("All that its engine knows"), shlex.join([*begin, "inspect", name])),
            Command(_("Its log, from the engine"), shlex.join([*begin, "logs", "--timestamps", name])),
        ]
    return [*found, Command(_("The same by hand"), shlex.join([*begin, *run(frozen)]))]


def run(frozen: Mapping[str, Any]) -> list[str]:
    """`docker run` with what a frozen spec says, as words."""
    options = frozen.get("options") or {}
    entrypoint, *first = merging.words(options.get("entrypoint", "")) or [""]
    return [
        *("run", "--rm"),
        *(["--tty"] if frozen["tty"] else []),
        *_named(frozen, _OF_SPEC),
        *_named(options, {"user": "--user"}),
        *(["--entrypoint", entrypoint] if entrypoint else []),
        *_environment(frozen["environment"]),
        *(word for name, _aliases in frozen["networks"] for word in ("--network", str(name))),
        *_options(options),
        str(frozen["docker_image"]),
        *first,
        *merging.words(frozen["command"]),
    ]


_OF_SPEC = {"cpu_limit": "--cpus", "working_directory": "--workdir", "stop_signal": "--stop-signal"}


def _named(values: Mapping[str, Any], flags: Mapping[str, str]) -> Iterator[str]:
    memory = values.get("memory_limit")
    if memory:
        yield from ("--memory", f"{memory}m")
    for name, flag in flags.items():
        if values.get(name) and values[name] != "SIGTERM":
            yield from (flag, str(values[name]))


def _environment(variables: Mapping[str, Any]) -> Iterator[str]:
    for name, entry in sorted(variables.items()):
        plain = "value" in entry and mask_field(name, entry["value"]) == entry["value"]
        yield from ("--env", f"{name}={entry['value']}" if plain else name)


def _options(options: Mapping[str, Any]) -> Iterator[str]:
    for name, value in _pairs(options.get("container_labels")):
        yield from ("--label", f"{name}={value}")
    for volume in _list(options.get("volumes")):
        yield from ("--volume", str(volume))
    for path, how in _pairs(options.get("tmpfs")):
        yield from ("--tmpfs", f"{path}:{how}" if how else path)
    for name, address in _pairs(options.get("extra_hosts")):
        yield from ("--add-host", f"{name}:{address}")
    for port in _list(options.get("ports")):
        yield from ("--publish", str(port))
    yield from _resources(dict(_pairs(options.get("resources"))))
    yield from _security(dict(_pairs(options.get("security"))))


def _resources(resources: Mapping[str, Any]) -> Iterator[str]:
    if resources.get("pids"):
        yield from ("--pids-limit", str(resources["pids"]))
    if resources.get("shm_mb"):
        yield from ("--shm-size", f"{resources['shm_mb']}m")
    for name, limit in _pairs(resources.get("ulimits")):
        text = ":".join(map(str, limit)) if isinstance(limit, list) else str(limit)
        yield from ("--ulimit", f"{name}={text}")
    if gpus := resources.get("gpus"):
        yield from ("--gpus", f'"device={",".join(map(str, gpus))}"' if isinstance(gpus, list) else str(gpus))


def _security(security: Mapping[str, Any]) -> Iterator[str]:
    for name, flag in (("read_only", "--read-only"), ("privileged", "--privileged"), ("init", "--init")):
        if security.get(name):
            yield flag
    if security.get("no_new_privileges", True):
        yield from ("--security-opt", "no-new-privileges")
    for name, flag in (("cap_drop", "--cap-drop"), ("cap_add", "--cap-add"), ("devices", "--device")):
        for one in _list(security.get(name)):
            yield from (flag, str(one))


def _pairs(value: Any) -> list[tuple[str, Any]]:
    return list(value.items()) if isinstance(value, dict) else []


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []

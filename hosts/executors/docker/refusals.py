"""What an engine's refusal of a create or a start means. Pure."""

from __future__ import annotations

import re
from http import HTTPStatus

from hosts.errors import ContainerExecutionError, EngineError, ImageMissing, LaunchFailed
from hosts.executors.contract import Observation
from hosts.executors.docker.client import Reply

NOT_EXECUTABLE = 126
NOT_FOUND = 127

# What the engine, or its runtime, says before it has started anything, with whatever status.
_BEFORE_THE_START = (
    "oci runtime",
    "oci permission denied",
    "could not select device driver",
    "error gathering device information",
    "no matching entries in passwd file",
    "no matching entries in group file",
    "failed to mount local",
)
# Podman's own words for what its runtime refused; it leaves neither an exit code nor an error behind.
_PODMAN_REFUSED = re.compile(r"oci (permission denied|runtime (error|attempted to invoke))")
_PODMAN_NOT_FOUND = "command that was not found"
# What is said before anything is made, with a status that would leave it open; the second one is Podman's.
_NEVER_MADE = ("is not a directory", "container-init binary not found")
_PORT_TAKEN = ("port is already allocated", "address already in use")
_DISK_FULL = "no space left on device"
# What stands around the one part that says something to the author of a job.
_WRAPPING = re.compile(
    r"^(failed to create (shim )?task: |oci runtime (create|start) failed: |runc create failed: "
    r"|unable to start container process: |error during container init: |container_linux\.go:\d+: "
    r"|starting container process caused: )+|: unknown$",
    re.IGNORECASE,
)
_HINTS = (
    ("container-init", "Install catatonit on the engine's machine, or set init to false for the host."),
    ("range of cpus", "Lower cpu_limit, or use a host with more CPUs."),
    ("memory limit", "Raise memory_limit of the template."),
    ("invalid reference format", "Correct docker_image in the template."),
    ("working directory", "Make working_directory an absolute path of a directory."),
    ("is not a directory", "Make working_directory an absolute path of a directory."),
    ("alias", "Only networks made by users can have aliases; remove them from the others."),
    ("logging", "Check log_max_size of the host."),
    ("network", "Check the networks of the template."),
    ("bind source path", "Create the path on the host, or correct volumes of the template."),
    ("device driver", "The host has no such GPUs, or not their runtime; correct resources of the template."),
    ("passwd", "Correct user of the template: the image has no such user."),
    ("group file", "Correct user of the template: the image has no such group."),
    ("device", "Correct devices in security of the template."),
    ("capabilit", "Correct cap_add and cap_drop in security of the template."),
    ("tmpfs", "Correct tmpfs of the template."),
    ("mount", "Correct volumes of the template."),
)


def says_gone(status: int, words: str) -> bool:
    """Whether an engine says that there is no such container; what a proxy says proves nothing."""
    return status == HTTPStatus.NOT_FOUND and "no such container" in words.lower()


def refused_create(reply: Reply) -> EngineError | None:
    """The error for an answer that made no container for good; None where nothing is proved."""
    words = reply.message.lower()
    if reply.status == HTTPStatus.NOT_FOUND and "image" in words:
        return ImageMissing(reply.message)
    if reply.status == HTTPStatus.NOT_FOUND and "network" in words:
        return network_missing(reply.message)
    if (reply.status == HTTPStatus.BAD_REQUEST and words) or any(part in words for part in _NEVER_MADE):
        return _final(reply.message, "create_refused")
    return None


def refused_connect(reply: Reply) -> EngineError | None:
    """The error for a network that a container cannot join; None where nothing is proved."""
    if reply.status == HTTPStatus.NOT_FOUND and "network" in reply.message.lower():
        return network_missing(reply.message)
    if reply.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN} and reply.message:
        return _final(reply.message, "create_refused")
    return None


def refused_start(reply: Reply, seen: Observation, exit_code: int | None) -> ContainerExecutionError | None:
    """The error for a start that is proved to have started nothing; None where it is not."""
    words = reply.message or seen.error
    refused = reply.status < HTTPStatus.INTERNAL_SERVER_ERROR or any(
        part in words.lower() for part in _BEFORE_THE_START
    )
    known = bool(exit_code or seen.error) or bool(_PODMAN_REFUSED.search(reply.message.lower()))
    unstarted = seen.state == "created" and not seen.started_at and known
    if unstarted and (passing := disk_full(words) or _port_taken(words)):
        return passing
    if not refused or not unstarted:
        return None
    if exit_code == NOT_FOUND or _PODMAN_NOT_FOUND in words:
        return _final(words, "command_not_found", "Check the command, and the PATH of the image.", NOT_FOUND)
    if exit_code == NOT_EXECUTABLE:
        hint = "Check the command; what it names is a directory, or lacks the right to be run."
        return _final(words, "command_not_executable", hint, NOT_EXECUTABLE)
    if reply.status == HTTPStatus.NOT_FOUND and "network" in words.lower():
        return network_missing(words)
    return _final(words, "start_refused")


def disk_full(words: str) -> LaunchFailed | None:
    """The error for a disk of the engine that is full, which says nothing about the job; None otherwise."""
    if _DISK_FULL not in words.lower():
        return None
    return LaunchFailed(
        f"The disk of the engine is full: {_WRAPPING.sub('', words)}",
        failure_class="disk_full",
        hint="Free space where the engine keeps its data; `docker system df` on the host says what takes it.",
    )


def _port_taken(words: str) -> LaunchFailed | None:
    if not any(part in words.lower() for part in _PORT_TAKEN):
        return None
    return LaunchFailed(
        _WRAPPING.sub("", words),
        failure_class="port_taken",
        hint="Let the engine choose the port: write ports of the template as in 8080.",
    )


def network_missing(words: str) -> ContainerExecutionError:
    """The error for a network that the engine does not have."""
    return _final(words, "network_missing", "Create the network on the host, or correct the template.")


def _final(
    words: str, failure_class: str, hint: str = "", exit_code: int | None = None
) -> ContainerExecutionError:
    message = _WRAPPING.sub("", words)
    hint = hint or next((text for key, text in _HINTS if key in message.lower()), "")
    return ContainerExecutionError(message, failure_class=failure_class, hint=hint, exit_code=exit_code)

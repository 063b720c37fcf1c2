"""Why the kernel would not do it: what the shim or we saw, in the words of the contract. Pure."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from typing import Any

from hosts.errors import ContainerExecutionError, DockerConnectionError

NOT_FOUND, NOT_EXECUTABLE = 127, 126  # as shells and Docker have it

_MISSING = {errno.ENOENT, errno.ENOTDIR}
_FULL = {errno.ENOSPC, errno.EDQUOT}
_NO_PROGRAM = {errno.EACCES, errno.EPERM, errno.ENOEXEC, errno.EISDIR, errno.ETXTBSY, errno.ELOOP}


def exit_code(refusal: Mapping[str, Any]) -> int | None:
    """127 for a command that was not found, 126 for one that is no program, else None."""
    if refusal["step"] != "command":
        return None
    if refusal["errno"] in _MISSING:
        return NOT_FOUND
    return NOT_EXECUTABLE if refusal["errno"] in _NO_PROGRAM else None


def as_error(
    refusal: Mapping[str, Any], *, command: Sequence[str], directory: str
) -> ContainerExecutionError:
    """The error that `start` raises for it."""
    program, text, code = command[0], refusal["text"], exit_code(refusal)
    if code == NOT_FOUND:
        return ContainerExecutionError(
            f"The command {program!r} was not found.",
            failure_class="command_not_found",
            hint="Check its spelling and the PATH; a script also needs the interpreter of its first line.",
            exit_code=code,
        )
    if code == NOT_EXECUTABLE:
        return ContainerExecutionError(
            f"The command {program!r} cannot be executed: {text}.",
            failure_class="command_not_executable",
            hint="It must be a program, or a script that starts with #!, and executable for our user.",
            exit_code=code,
        )
    if refusal["step"] == "directory":
        return ContainerExecutionError(
            f"The working directory {directory!r} cannot be entered: {text}.",
            failure_class="start_refused",
            hint="Create it on the host, or correct working_directory of the template.",
        )
    return ContainerExecutionError(
        f"The command {program!r} was not started: {text}.",
        failure_class="start_refused",
        hint="Check the limits of the template, and the command and environment of the job.",
    )


def unusable(message: str, number: int | None) -> DockerConnectionError:
    """The error for what the file system would not do; the number is its errno."""
    if number not in _FULL:
        return DockerConnectionError(message)
    return DockerConnectionError(
        message,
        failure_class="disk_full",
        hint="Make room where the host's root is, or put it on a larger disk.",
    )

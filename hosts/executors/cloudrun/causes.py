"""Why an execution failed, from what Cloud Run says of it: a few codes, and sentences for people. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

# `rejected` and `infra`: nothing of it ever ran, for a reason that lies in the job, or not.
Why = Literal["", "timeout", "cancelled", "rejected", "infra"]

_OOM = re.compile(r"memory limit .*exceeded|out of memory|exceeded (?:the |its )?memory", re.IGNORECASE)
_TIMEOUT = re.compile(r"configured timeout was reached|maximum timeout", re.IGNORECASE)
_NO_IMAGE = re.compile(r"image .*(?:not found|does not exist)|manifest unknown", re.IGNORECASE)
_NO_ACCESS = re.compile(
    r"(?:must have|lacks?|denied|unauthorized).*image|image.*(?:denied|unauthorized)", re.IGNORECASE
)
_NO_START = re.compile(
    r"(?:container|application) (?:failed to (?:start|load)|exec likely failed)|failed to create containerd",
    re.IGNORECASE,
)
_CODES = (
    (re.compile(r"no such file|not found", re.IGNORECASE), 127),
    (re.compile(r"permission denied|exec format", re.IGNORECASE), 126),
)
_QUOTA = re.compile(r"quota|resource.?exhausted|no (?:available )?capacity", re.IGNORECASE)
_FORBIDDEN = re.compile(r"permission|actas", re.IGNORECASE)
_DEADLINE_EXCEEDED = 4  # google.rpc.Code
_REASONS: dict[str, tuple[Why, str]] = {
    "CANCELLED": ("cancelled", "cancelled"),
    "DELETED": ("cancelled", "cancelled"),
    "CONTAINER_MISSING": ("rejected", "image_not_found"),
    "CONTAINER_PERMISSION_DENIED": ("rejected", "image_denied"),
    "CONTAINER_IMAGE_UNAUTHORIZED": ("rejected", "image_denied"),
    "CONTAINER_IMAGE_AUTHORIZATION_CHECK_FAILED": ("infra", "permission_denied"),
    "ENCRYPTION_KEY_PERMISSION_DENIED": ("infra", "permission_denied"),
    "ENCRYPTION_KEY_CHECK_FAILED": ("infra", "permission_denied"),
    "SECRETS_ACCESS_CHECK_FAILED": ("infra", "permission_denied"),
    "PROGRESS_DEADLINE_EXCEEDED": ("infra", "not_started"),
}
# Of what never ran, by its sentence; the first one that fits.
_NEVER_RAN: tuple[tuple[re.Pattern[str], Why, str], ...] = (
    (_NO_IMAGE, "rejected", "image_not_found"),
    (_NO_ACCESS, "rejected", "image_denied"),
    (_NO_START, "rejected", "start_refused"),
    (_QUOTA, "infra", "quota"),
    (_FORBIDDEN, "infra", "permission_denied"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is known of a failure. `ran`: a task of it has started, or left an exit code.

    `reasons` are the names of the codes in its conditions, `message` is its sentence, `code` its
    google.rpc.Code.
    """

    message: str
    reasons: tuple[str, ...] = ()
    code: int = 0
    ran: bool = False


@dataclass(frozen=True, slots=True)
class Cause:
    """All empty where the exit code says all there is to say."""

    why: Why = ""
    failure_class: str = ""
    oom_killed: bool = False
    exit_code: int | None = None  # as a shell has it, for a command that could not be run


def cause(told: Told) -> Cause:
    """What ended it."""
    if _OOM.search(told.message):
        return Cause(oom_killed=True)
    for reason in told.reasons:
        why, failure_class = _REASONS.get(reason, ("", ""))
        if why and (why == "cancelled" or not told.ran):
            return Cause(why, failure_class)
    if _TIMEOUT.search(told.message) or told.code == _DEADLINE_EXCEEDED:
        return Cause("timeout", "timeout")
    return Cause() if told.ran and not _NO_START.search(told.message) else _never_ran(told.message)


def _code_of(message: str) -> int | None:
    if not _NO_START.search(message):
        return None
    return next((code for pattern, code in _CODES if pattern.search(message)), None)


def _never_ran(message: str) -> Cause:
    for pattern, why, failure_class in _NEVER_RAN:
        if pattern.search(message):
            return Cause(why, failure_class, exit_code=_code_of(message))
    return Cause("infra", "not_started")

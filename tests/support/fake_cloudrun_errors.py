"""Refusals as Google's services word them: google.rpc.Status in JSON, with its details."""

from __future__ import annotations

import re
from typing import Any

_LABEL_KEY, _LABEL_VALUE = re.compile(r"[a-z][-_a-z0-9]{0,62}"), re.compile(r"[-_a-z0-9]{0,63}")
_RESERVED = re.compile(r"^(run|cloud)\.googleapis\.com/")
_NAMES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class Refusal(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, name: str, message: str, *details: dict[str, Any]) -> None:
        super().__init__(message)
        self.status = status
        error = {"code": status, "message": message, "status": name}
        self.body = {"error": {**error, "details": list(details)} if details else error}


def of_status(status: int) -> Refusal:
    """What is behind a status, in general words."""
    if status == 429:
        return throttled("run.googleapis.com")
    if status == 403:
        return forbidden("run.jobs.create")
    words = {503: "The service is currently unavailable.", 500: "Internal error encountered."}
    said = words.get(status, "Deadline expired before operation could complete.")
    return Refusal(status, _NAMES[status], said)


def unauthenticated() -> Refusal:
    return Refusal(
        401,
        "UNAUTHENTICATED",
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or "
        "other valid authentication credential.",
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "ACCESS_TOKEN_TYPE_UNSUPPORTED",
            "domain": "googleapis.com",
        },
    )


def forbidden(permission: str) -> Refusal:
    return Refusal(
        403,
        "PERMISSION_DENIED",
        f"Permission '{permission}' denied on resource 'projects/my-gcp-project' (or it may not exist).",
    )


def throttled(service: str) -> Refusal:
    return Refusal(
        429,
        "RESOURCE_EXHAUSTED",
        f"Quota exceeded for quota metric 'Requests' and limit 'Requests per minute' of service '{service}' "
        "for consumer 'project_number:123456789'.",
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "RATE_LIMIT_EXCEEDED",
            "domain": "googleapis.com",
            "metadata": {"service": service, "quota_limit_value": "60"},
        },
    )


def of_quota() -> Refusal:
    words = "Quota violated: CpuAllocPerProjectRegion requested: 8000 allowed: 4000."
    return Refusal(400, "FAILED_PRECONDITION", words)


def invalid(field: str, words: str) -> Refusal:
    return Refusal(
        400,
        "INVALID_ARGUMENT",
        f"Violation in {field}: {words}",
        {
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"field": field, "description": words}],
        },
    )


def not_found(what: str) -> Refusal:
    return Refusal(404, "NOT_FOUND", f"{what} does not exist.")


def already_exists(words: str) -> Refusal:
    return Refusal(409, "ALREADY_EXISTS", words)


def aborted() -> Refusal:
    return Refusal(
        409, "ABORTED", "Conflict for resource: version was specified but current version is another one."
    )


def failed_precondition(words: str) -> Refusal:
    return Refusal(400, "FAILED_PRECONDITION", words)


def check_job(name: str, job: dict[str, Any]) -> None:
    """Refuse a Job that Cloud Run would not take."""
    for key, value in job.get("labels", {}).items():
        if not (_LABEL_KEY.fullmatch(key) and _LABEL_VALUE.fullmatch(value)):
            raise invalid("job.labels", f"{key}={value} is no valid label")
    if any(_RESERVED.match(key) for key in job.get("annotations", {})):
        raise invalid("job.annotations", "this namespace is reserved")
    if len(name) + len(job.get("startExecutionToken", "")) >= 63:
        raise invalid("job.start_execution_token", "name and token are too long together")
    task = job["template"]["template"]
    limits = task["containers"][0].get("resources", {}).get("limits", {})
    memory = int(limits.get("memory", "512Mi").removesuffix("Mi"))
    least = {"1": 512, "2": 512, "4": 2048, "6": 4096, "8": 4096}.get(limits.get("cpu", "1"))
    most = {"1": 4096, "2": 8192, "4": 16384, "6": 24576, "8": 32768}.get(limits.get("cpu", "1"))
    if least is None or not least <= memory <= (most or 0):
        raise invalid("resources.limits.memory", "Invalid value specified for memory.")
    if task.get("maxRetries", 3) != 0:  # what the service would run again by itself, the tests must not meet
        raise invalid("maxRetries", "this fake runs nothing twice")

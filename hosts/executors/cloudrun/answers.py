"""What refusals of Google's services mean, in the words of the contract. Pure; imports nothing of theirs."""

from __future__ import annotations

from http import HTTPStatus

from hosts.errors import (
    ConfigurationError,
    ContainerExecutionError,
    DockerConnectionError,
    EngineError,
    LaunchFailed,
)

NO_ANSWER = 0
_ROLES = "docs/executors-cloudrun.md names the roles that it needs."


class ApiError(Exception):
    """A service refused a call, or did not answer (`status` 0). `str()` is what it said."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    @property
    def is_not_found(self) -> bool:
        """Whether there is no such thing."""
        return self.status == HTTPStatus.NOT_FOUND

    @property
    def is_conflict(self) -> bool:
        """Whether the thing is another one than was thought: its name is taken, or its etag is an old one."""
        return self.status in {HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED}


def unexpected(host: str, error: ApiError) -> EngineError:
    """It proves nothing: try later."""
    if error.status == HTTPStatus.TOO_MANY_REQUESTS:
        return DockerConnectionError(
            f"{host}: Cloud Run takes no more calls just now: {error}",
            failure_class="throttled",
            hint="Ask for a higher quota of the Cloud Run Admin API, or lower max_concurrent_jobs.",
        )
    said = f"{host}: Cloud Run answered {error.status}: {error}" if error.status else f"{host}: {error}"
    return DockerConnectionError(said)


def refused_check(host: str, error: ApiError) -> Exception:
    """Why the host cannot be used: ConfigurationError if somebody has to mend that."""
    if error.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}:
        return ConfigurationError(f"{host}: Cloud Run cannot be used: {error}. {_ROLES}")
    if error.status == HTTPStatus.BAD_REQUEST:
        return ConfigurationError(f"{host}: Cloud Run does not take the settings: {error}")
    return unexpected(host, error)


def refused_launch(host: str, error: ApiError, *, what: str) -> EngineError:
    """Why nothing was started; of an answer that proves that, it is final. `what` is create or start."""
    message = f"{host}: Cloud Run refused to {what} the job: {error}"
    if error.status == HTTPStatus.BAD_REQUEST and "quota" in str(error).lower():
        return LaunchFailed(message, failure_class="quota", hint="Ask for a higher quota in this region.")
    if error.status == HTTPStatus.BAD_REQUEST:
        hint = "Cloud Run names the field: it is the template's, or a setting of the host."
        return ContainerExecutionError(message, failure_class=f"{what}_refused", hint=hint)
    if error.status in {HTTPStatus.FORBIDDEN, HTTPStatus.UNAUTHORIZED}:
        return LaunchFailed(message, failure_class="permission_denied", hint=_ROLES)
    if error.is_not_found and what == "create":
        return LaunchFailed(message, failure_class="create_refused", hint="Look at project and region.")
    return unexpected(host, error)

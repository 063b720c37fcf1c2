"""The log group of a host's tasks: made if there is none, and read page by page."""

from __future__ import annotations

from typing import Any

from hosts.executors.fargate.clients import AwsAnswer, Clients
from hosts.executors.fargate.logs import Page

# It is there, somebody makes it just now, or we may not: then whoever set the host up has.
_GO_ON = {
    "ResourceAlreadyExistsException",
    "OperationAbortedException",
    "AccessDeniedException",
    "LimitExceededException",
}


class LogGroup:
    """For all threads."""

    def __init__(self, clients: Clients, name: str) -> None:
        self._clients, self._name = clients, name
        self._is_ensured = False

    def ensure(self) -> None:
        """Make it unless it is there; a task whose log group is missing does not start."""
        if self._is_ensured:
            return
        try:
            self._clients.call("logs", "create_log_group", logGroupName=self._name)
        except AwsAnswer as exc:
            if exc.code not in _GO_ON:
                raise
        self._is_ensured = True

    def page(self, stream: str, token: str | None, since_ms: int | None) -> Page | None:
        """The events after the token, or from the time on; None: there is no such stream, or not yet."""
        request: dict[str, Any] = {
            "logGroupName": self._name,
            "logStreamName": stream,
            "startFromHead": True,
        }
        request |= {"nextToken": token} if token else {}
        request |= {"startTime": since_ms} if since_ms is not None else {}
        try:
            reply = self._clients.call("logs", "get_log_events", **request)
        except AwsAnswer as exc:
            if exc.code == "ResourceNotFoundException":
                return None
            raise
        return Page(reply.get("events") or (), reply.get("nextForwardToken"))

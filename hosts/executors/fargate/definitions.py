"""Task definitions: registered once for each content, and used by all attempts that come to the same."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from hosts.executors.fargate import refusals
from hosts.executors.fargate.clients import AwsAnswer, Clients
from hosts.executors.fargate.requests import CONTENT_TAG, Definition

_UNKNOWN_FAMILY = "ClientException"  # what DescribeTaskDefinition answers for a family that there is none of


class Definitions:
    """For all threads. What is registered is asked for once in a process, and then known."""

    def __init__(self, clients: Clients, tags: Mapping[str, str]) -> None:
        self._clients, self._tags = clients, tags
        self._lock = threading.Lock()
        self._arns: dict[str, str] = {}

    def arn_of(self, definition: Definition) -> str:
        """The ARN of the definition, registered now if nobody has yet; raises as `create` does."""
        # Held while it is asked: of a hundred jobs of one template, one registers and the others wait.
        with self._lock:
            known = self._arns.get(definition.digest)
            if known is None:
                known = self._registered(definition) or self._register(definition)
                self._arns[definition.digest] = known
            return known

    def forget(self, arn: str) -> None:
        """It could not be used: somebody may have deregistered it, so ask again."""
        with self._lock:
            self._arns = {digest: known for digest, known in self._arns.items() if known != arn}

    def _registered(self, definition: Definition) -> str | None:
        try:
            found = self._clients.call(
                "ecs", "describe_task_definition", taskDefinition=definition.family, include=["TAGS"]
            )
        except AwsAnswer as exc:
            if exc.code == _UNKNOWN_FAMILY:
                return None
            raise refusals.refused_definition(exc) or exc from exc
        tags = {tag["key"]: tag["value"] for tag in found.get("tags") or ()}
        is_it = tags.get(CONTENT_TAG) == definition.digest
        description = found["taskDefinition"]
        return description["taskDefinitionArn"] if is_it and description.get("status") == "ACTIVE" else None

    def _register(self, definition: Definition) -> str:
        try:
            made = self._clients.call(
                "ecs", "register_task_definition", **definition.registration(self._tags)
            )
        except AwsAnswer as exc:
            raise refusals.refused_definition(exc) or exc from exc
        arn: str = made["taskDefinition"]["taskDefinitionArn"]
        return arn

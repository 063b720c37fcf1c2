"""The Jobs of the fake of Cloud Run: what the API shows of one, as Google documents it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.support.fake_cloudrun_tasks import TaskProcess

PROJECT, REGION = "my-gcp-project", "us-central1"
PARENT = f"projects/{PROJECT}/locations/{REGION}"
_TYPE = "type.googleapis.com/google.cloud.run.v2."


def moment() -> str:
    """Now, as Google writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass
class FakeJob:
    """A Job with its executions; `body` is what the API shows of it."""

    body: dict[str, Any]
    visible_at: float = 0.0
    ready_at: float = 0.0
    gone_at: float = 0.0
    executions: dict[str, TaskProcess] = field(default_factory=dict)

    def touch(self) -> None:
        """It was changed."""
        self.body["updateTime"] = moment()
        self.body["etag"] = f'"{uuid.uuid4().hex[:12]}"'

    def shown(self, *, missing: Collection[str], denied: Collection[str]) -> dict[str, Any]:
        """As the API shows it; images that are `missing` or `denied` cannot be had."""
        body = dict(self.body)
        ready = time.monotonic() >= self.ready_at
        body["observedGeneration"] = body["generation"] if ready else str(int(body["generation"]) - 1)
        if not ready:
            body["reconciling"] = True
        body["terminalCondition"] = self._condition(missing, denied, ready=ready)
        if self.executions:
            body["executionCount"] = len(self.executions)
            body["latestCreatedExecution"] = list(self.executions.values())[-1].reference()
        return body

    def _condition(self, missing: Collection[str], denied: Collection[str], *, ready: bool) -> dict[str, Any]:
        condition = {"type": "Ready", "lastTransitionTime": self.body["updateTime"]}
        image = image_of(self.body)
        if not ready:
            return {**condition, "state": "CONDITION_RECONCILING"}
        if image in missing:
            words = f"Image '{image}' not found."
            return {**condition, "state": "CONDITION_FAILED", "message": words, "reason": "CONTAINER_MISSING"}
        if image in denied:
            words = f"Google Cloud Run Service Agent must have permission to read the image, {image}."
            return {
                **condition,
                "state": "CONDITION_FAILED",
                "message": words,
                "reason": "CONTAINER_PERMISSION_DENIED",
            }
        return {**condition, "state": "CONDITION_SUCCEEDED"}


def image_of(job: dict[str, Any]) -> str:
    """What a Job runs."""
    return job["template"]["template"]["containers"][0]["image"]


def new_body(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """A Job that was made just now, by what was given for it."""
    now = moment()
    return {
        **given,
        "name": f"{PARENT}/jobs/{name}",
        "uid": str(uuid.uuid4()),
        "generation": "1",
        "labels": given.get("labels", {}),
        "createTime": now,
        "updateTime": now,
        "creator": "tallyman@my-gcp-project.iam.gserviceaccount.com",
        "launchStage": "GA",
        "etag": f'"{uuid.uuid4().hex[:12]}"',
    }


def operation(kind: str, resource: dict[str, Any]) -> dict[str, Any]:
    """The answer to a call that changes something."""
    return {
        "name": f"{PARENT}/operations/{uuid.uuid4()}",
        "metadata": {"@type": _TYPE + kind, **resource},
    }

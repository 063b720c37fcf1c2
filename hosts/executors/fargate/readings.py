"""A task as ECS describes it, in the words of the contract. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from hosts.executors.contract import LABEL_PREFIX, HostView, Observation
from hosts.executors.fargate import identity, refusals
from hosts.executors.fargate.identity import ATTEMPT_TAG, Identity
from hosts.executors.fargate.requests import CONTAINER

STOPPED = "STOPPED"
OUR_STOP = "tallyman: "  # what the reason begins with where a task was stopped by us
_BEFORE_RUNNING = {"PROVISIONING", "PENDING", "ACTIVATING"}
_OUT_OF_MEMORY = "outofmemory"
_BY_AWS = {"SpotInterruption", "TerminationNotice", "InfrastructureHealth"}
_BY_SOMEBODY = {"UserInitiated", "ServiceSchedulerInitiated"}

Task = Mapping[str, Any]


def labels(task: Task) -> dict[str, str]:
    """The tags of a task."""
    return {tag.get("key", ""): tag.get("value", "") for tag in task.get("tags") or ()}


def identity_of(task: Task) -> Identity | None:
    """Which attempt's task this is; None: nobody's of ours."""
    tags = labels(task)
    names = (ATTEMPT_TAG, LABEL_PREFIX + "job", LABEL_PREFIX + "attempt")
    return Identity.parse(".".join(tags.get(name, "") for name in names))


def is_stopped(task: Task) -> bool:
    """Whether it has ended for good."""
    return bool(task.get("lastStatus") == STOPPED)


def observation(host: HostView, task: Task) -> Observation:
    """The task as it is."""
    tags = labels(task)
    common: dict[str, Any] = {
        "container_id": str(identity_of(task) or task["taskArn"]),
        "name": identity.container_name(host, tags.get(LABEL_PREFIX + "job", "")),
        "labels": tags,
        "image_digest": _container(task).get("imageDigest") or "",
        "metadata": metadata(task),
    }
    if task.get("lastStatus") in _BEFORE_RUNNING:
        return Observation(state="starting", **common)
    if not is_stopped(task):
        return Observation(state="running", started_at=_started_at(task), **common)
    return Observation(state="exited", **common, **_ending(task))


def metadata(task: Task) -> dict[str, Any]:
    """The specification's keys, as far as ECS has said them by now."""
    definition = str(task.get("taskDefinitionArn", "")).rsplit("/", 1)[-1]
    details = {
        pair.get("name"): pair.get("value")
        for attachment in task.get("attachments") or ()
        for pair in attachment.get("details") or ()
    }
    said = {
        "task_arn": task.get("taskArn"),
        "task_definition": definition,
        "cluster": str(task.get("clusterArn", "")).rsplit("/", 1)[-1],
        "launch_type": task.get("launchType") or ("FARGATE" if task.get("capacityProviderName") else None),
        "capacity_provider": task.get("capacityProviderName"),
        "platform_version": task.get("platformVersion"),
        "availability_zone": task.get("availabilityZone"),
        "private_ip": details.get("privateIPv4Address"),
    }
    return {key: value for key, value in said.items() if value}


def _ending(task: Task) -> dict[str, Any]:
    exit_code, reason = _container(task).get("exitCode"), str(_container(task).get("reason") or "")
    stopped, code = str(task.get("stoppedReason") or ""), str(task.get("stopCode") or "")
    words = _sentence(stopped, reason)
    never_started = exit_code is None and task.get("startedAt") is None
    refused = refusals.refusal(_with_code(code, words)) if never_started else None
    is_outside = not never_started and _is_outside(code, words)
    if is_outside:
        words = _with_code(code, words)
    return {
        "exit_code": exit_code,
        "oom_killed": _OUT_OF_MEMORY in reason.lower(),
        "started_at": None if never_started else _started_at(task),
        "finished_at": _moment(task.get("executionStoppedAt") or task.get("stoppedAt")),
        "error": "" if _is_plain(code, reason) else words,
        "refusal": refused,
        "ended_by": "outside" if is_outside else "",
    }


def _is_plain(code: str, reason: str) -> bool:
    """Whether the task ended because its program did, of which ECS has nothing to say."""
    return code in {"", "EssentialContainerExited"} and not reason


def _sentence(stopped: str, reason: str) -> str:
    parts = [stopped, reason] if reason and reason not in stopped else [stopped]
    return " ".join(part.strip() for part in parts if part.strip())


def _with_code(code: str, words: str) -> str:
    said = words or "ECS stopped the task before it started."
    return said if not code or code.lower() in said.lower() else f"{code}: {said}"


def _is_outside(code: str, words: str) -> bool:
    """Whether neither its program nor we ended a task that ran."""
    return code in _BY_AWS or (code in _BY_SOMEBODY and not words.startswith(OUR_STOP))


def _container(task: Task) -> Mapping[str, Any]:
    """Ours among the task's containers; AWS may add some of its own."""
    containers = task.get("containers") or ()
    return next((one for one in containers if one.get("name") == CONTAINER), {})


def _started_at(task: Task) -> datetime | None:
    return _moment(task.get("startedAt") or task.get("pullStoppedAt") or task.get("createdAt"))


def _moment(at: Any) -> datetime | None:
    return at.astimezone(UTC) if isinstance(at, datetime) else None

"""What ECS says of tasks that ended or never began, in answers checked against AWS's own model of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.stub import ANY, Stubber

from hosts.errors import ContainerExecutionError, DockerConnectionError, LaunchFailed
from hosts.executors.contract import Observation
from hosts.executors.fargate import FargateExecutor
from tests.hosts.fargate import HOST, INSTALLATION, job_view, view_of
from tests.support.aws import CREDENTIALS

ARN = "arn:aws:ecs:us-east-1:123456789012:task/jobs/7b2ff0e1c4f34d0c8b2d4a6b1b1f0c55"
DEFINITION = "arn:aws:ecs:us-east-1:123456789012:task-definition/tallyman-0:1"
AT = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
CONFIG = {"cluster": "jobs", "subnets": ["subnet-1"], "region": "us-east-1", "settle_seconds": 60}


@pytest.fixture
def executor() -> FargateExecutor:
    """One that reaches nobody: its answers are the stubber's."""
    return FargateExecutor(view_of({**CONFIG, **CREDENTIALS}))


@pytest.fixture
def ecs(executor: FargateExecutor) -> Iterator[Stubber]:
    """What ECS answers, in this order."""
    with Stubber(executor._clients._client("ecs")) as stubber:
        yield stubber


@pytest.fixture
def logs(executor: FargateExecutor) -> Iterator[Stubber]:
    """What CloudWatch answers, in this order."""
    with Stubber(executor._clients._client("logs")) as stubber:
        yield stubber


def create(executor: FargateExecutor, ecs: Stubber, logs: Stubber, job: Any) -> str:
    for _ in range(2):
        ecs.add_response("list_tasks", {"taskArns": []})
    ecs.add_client_error("describe_task_definition", "ClientException", "Unable to describe task definition.")
    ecs.add_response("register_task_definition", {"taskDefinition": {"taskDefinitionArn": DEFINITION}})
    logs.add_client_error("create_log_group", "ResourceAlreadyExistsException")
    return executor.create(job).container_id


def task_of(job: Any, **said: Any) -> dict[str, Any]:
    tags = {
        "installation": INSTALLATION,
        "host": HOST,
        "job": job.id,
        "attempt": job.attempt,
        "attempt_id": job.attempt_id,
    }
    return {
        "taskArn": ARN,
        "clusterArn": "arn:aws:ecs:us-east-1:123456789012:cluster/jobs",
        "taskDefinitionArn": DEFINITION,
        "lastStatus": "STOPPED",
        "launchType": "FARGATE",
        "tags": [{"key": f"tallyman.{key}", "value": str(value)} for key, value in tags.items()],
        **said,
    }


def seen(executor: FargateExecutor, ecs: Stubber, logs: Stubber, **said: Any) -> Observation:
    """The observation of a job that was started, and then described like this."""
    job = job_view()
    container_id = create(executor, ecs, logs, job)
    ecs.add_response("run_task", {"tasks": [task_of(job, lastStatus="PROVISIONING")], "failures": []})
    executor.start(container_id)
    executor._tasks._fresh_seconds = -1  # the next look asks
    ecs.add_response("describe_tasks", {"tasks": [task_of(job, **said)], "failures": []})
    observed = executor.observe(container_id)
    assert observed is not None
    return observed


@pytest.mark.parametrize(
    ("reason", "detail", "failure_class"),
    [
        ("RESOURCE:FARGATE", "", "capacity"),
        ("Capacity is unavailable at this time. Please try again later", "", "capacity"),
        ("You've reached the limit on the number of tasks you can run concurrently", "", "capacity"),
        ("MISSING", "The cluster was deleted", "not_started"),
    ],
)
def test_failures_inside_an_answer_that_is_fine_start_nothing(
    executor: FargateExecutor, ecs: Stubber, logs: Stubber, reason: str, detail: str, failure_class: str
) -> None:
    container_id = create(executor, ecs, logs, job_view())
    failure = {"arn": ARN, "reason": reason, **({"detail": detail} if detail else {})}
    ecs.add_response("run_task", {"tasks": [], "failures": [failure]})
    with pytest.raises(LaunchFailed) as refused:
        executor.start(container_id)
    assert refused.value.failure_class == failure_class
    assert reason in str(refused.value)


def test_out_of_memory_is_told_by_the_container(
    executor: FargateExecutor, ecs: Stubber, logs: Stubber
) -> None:
    killed = "OutOfMemoryError: Container killed due to memory usage"
    ended = seen(
        executor,
        ecs,
        logs,
        startedAt=AT,
        stoppedAt=AT,
        stopCode="EssentialContainerExited",
        stoppedReason="Essential container in task exited",
        containers=[{"name": "job", "exitCode": 137, "reason": killed, "imageDigest": "sha256:00"}],
    )
    assert (ended.state, ended.exit_code, ended.oom_killed) == ("exited", 137, True)
    assert (ended.ended_by, ended.image_digest, ended.finished_at) == ("", "sha256:00", AT)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("SpotInterruption", "Your Spot Task was interrupted."),
        ("TerminationNotice", "Your task is being stopped for maintenance."),
        ("InfrastructureHealth", "The infrastructure of the task is unhealthy."),
        ("UserInitiated", "Task stopped by user"),
    ],
)
def test_a_task_that_aws_or_somebody_stopped_was_interrupted(
    executor: FargateExecutor, ecs: Stubber, logs: Stubber, code: str, reason: str
) -> None:
    containers = [{"name": "job", "exitCode": 1}]
    said = {"startedAt": AT, "stoppedAt": AT, "stopCode": code, "stoppedReason": reason}
    ended = seen(executor, ecs, logs, containers=containers, **said)
    assert (ended.ended_by, ended.error) == ("outside", f"{code}: {reason}")
    assert ended.refusal is None


def test_a_task_that_we_stopped_was_not(executor: FargateExecutor, ecs: Stubber, logs: Stubber) -> None:
    said = {"startedAt": AT, "stopCode": "UserInitiated", "stoppedReason": "tallyman: TERM"}
    ended = seen(executor, ecs, logs, containers=[{"name": "job", "exitCode": 143}], **said)
    assert (ended.ended_by, ended.exit_code) == ("", 143)


@pytest.mark.parametrize(
    ("reason", "failure_class", "is_final", "exit_code"),
    [
        ("CannotPullContainerError: ref x: not found", "image_not_found", True, None),
        ("CannotPullContainerError: pull access denied for x", "image_denied", True, None),
        (
            "CannotPullContainerError: descriptor matching platform 'linux/arm64'",
            "image_platform",
            True,
            None,
        ),
        ("CannotPullContainerError: toomanyrequests: rate limit", "rate_limited", False, None),
        ("CannotPullContainerError: dial tcp 1.2.3.4:443: i/o timeout", "registry_unreachable", False, None),
        ('CannotStartContainerError: exec: "x": executable file not found', "command_not_found", True, 127),
        ("CannotStartContainerError: permission denied", "command_not_executable", True, 126),
        ("ResourceInitializationError: unable to pull secrets", "not_started", False, None),
        ("Timeout waiting for network interface provisioning to complete.", "not_started", False, None),
        ("Capacity is unavailable at this time. Please try again later", "capacity", False, None),
    ],
)
def test_a_task_that_never_began_says_why(
    executor: FargateExecutor,
    ecs: Stubber,
    logs: Stubber,
    reason: str,
    failure_class: str,
    is_final: bool,
    exit_code: int | None,
) -> None:
    ended = seen(executor, ecs, logs, stopCode="TaskFailedToStart", stoppedReason=reason, stoppedAt=AT)
    assert ended.started_at is None
    refused = ended.refusal
    assert isinstance(refused, ContainerExecutionError)
    assert (refused.failure_class, not isinstance(refused, LaunchFailed)) == (failure_class, is_final)
    assert refused.exit_code == exit_code
    assert refused.hint


def test_a_new_task_that_ecs_does_not_show_yet_is_not_absent(
    executor: FargateExecutor, ecs: Stubber, logs: Stubber
) -> None:
    job = job_view()
    container_id = create(executor, ecs, logs, job)
    ecs.add_response("run_task", {"tasks": [task_of(job, lastStatus="PROVISIONING")], "failures": []})
    executor.start(container_id)
    executor._tasks._fresh_seconds = -1
    ecs.add_response("describe_tasks", {"tasks": [], "failures": [{"arn": ARN, "reason": "MISSING"}]})
    with pytest.raises(DockerConnectionError, match="does not show the task"):
        executor.observe(container_id)


@pytest.mark.parametrize("code", ["ThrottlingException", "ServerException", "ServiceUnavailable"])
def test_an_answer_that_proves_nothing_keeps_a_start_unknown(
    executor: FargateExecutor, ecs: Stubber, logs: Stubber, code: str
) -> None:
    container_id = create(executor, ecs, logs, job_view())
    ecs.add_client_error("run_task", code, "Rate exceeded", http_status_code=500)
    with pytest.raises(DockerConnectionError, match=code):
        executor.start(container_id)
    for _ in range(2):
        ecs.add_response("list_tasks", {"taskArns": []})
    executor._tasks._fresh_seconds = -1
    with pytest.raises(DockerConnectionError, match="it may do so a little later"):
        executor.observe(container_id)


def test_a_list_is_asked_for_without_a_filter_that_ecs_does_not_take(
    executor: FargateExecutor, ecs: Stubber
) -> None:
    ours, other = job_view(), job_view()
    foreign = task_of(other, taskArn=ARN + "0", tags=[])
    ecs.add_response("list_tasks", {"taskArns": [ARN], "nextToken": "more"})
    ecs.add_response("list_tasks", {"taskArns": [], "nextToken": ""})
    ecs.add_client_error("list_tasks", "InvalidParameterException", "startedBy must be the only filter")
    without = {"cluster": "jobs", "desiredStatus": "STOPPED"}
    ecs.add_response("list_tasks", {"taskArns": [ARN + "0"]}, without)
    asked = {"cluster": "jobs", "tasks": ANY, "include": ["TAGS"]}
    ecs.add_response("describe_tasks", {"tasks": [task_of(ours), foreign], "failures": []}, asked)
    assert [one.label("job") for one in executor.list_containers()] == [str(ours.id)]

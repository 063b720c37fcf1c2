"""The Fargate executor against moto's server: what it asks AWS for, and what it makes of the answers."""

from __future__ import annotations

import importlib.util
import json
import threading
from typing import Any

import pytest

from hosts.errors import (
    ConfigurationError,
    ContainerBusy,
    ContainerExecutionError,
    DockerConnectionError,
    LaunchFailed,
)
from hosts.executors.contract import Hint
from hosts.executors.fargate import tasks
from hosts.executors.registry import check_engine
from hosts.ids import new_id
from tests.hosts.fargate import INSTALLATION, executor_of, job_view, launched, view_of
from tests.support.aws import CLUSTER, CREDENTIALS, Aws, LostReply, Reply, error
from tests.support.waiting import wait_until


def test_the_cluster_is_who_the_engine_is(aws: Aws) -> None:
    facts = check_engine(view_of({**aws.config, **CREDENTIALS}), 5)
    assert facts.engine_id == f"arn:aws:ecs:us-east-1:123456789012:cluster/{CLUSTER}"
    assert facts.version == "Fargate LATEST"


def test_a_cluster_that_is_missing_is_a_matter_of_the_settings(aws: Aws) -> None:
    with pytest.raises(ConfigurationError, match="the cluster nowhere is missing in us-east-1"):
        executor_of(aws, cluster="nowhere").check()


def test_an_address_where_nobody_answers_proves_nothing(aws: Aws) -> None:
    with pytest.raises(DockerConnectionError, match="endpoint URL"):
        executor_of(aws, endpoint_url="http://127.0.0.1:9", timeout=1).check()


def test_without_boto3_it_says_what_to_install(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'tallyman\[fargate\]'"):
        executor_of(aws)


def test_equal_contents_share_one_task_definition_for_ever(aws: Aws) -> None:
    executor = executor_of(aws)
    made = [executor.create(job_view(command=("echo", str(n)), environment={"N": str(n)})) for n in range(3)]
    again = executor_of(aws).create(job_view())
    assert {seen.metadata["task_definition"] for seen in [*made, again]} == {
        made[0].metadata["task_definition"]
    }
    assert aws.count("RegisterTaskDefinition") == 1
    other = executor.create(job_view(template={"memory_limit": 700}))
    assert other.metadata["task_definition"] != again.metadata["task_definition"]
    assert aws.count("RegisterTaskDefinition") == 2


def test_a_definition_that_somebody_deregistered_is_registered_anew(aws: Aws) -> None:
    first = executor_of(aws).create(job_view())
    aws.ecs.deregister_task_definition(taskDefinition=first.metadata["task_definition"])
    second = executor_of(aws).create(job_view())
    family, _, revision = second.metadata["task_definition"].partition(":")
    assert (family, revision) == (first.metadata["task_definition"].partition(":")[0], "2")


def test_what_runs_is_what_the_job_says(aws: Aws) -> None:
    roles = {"execution_role_arn": "arn:aws:iam::1:role/x", "task_role_arn": "arn:aws:iam::1:role/y"}
    executor = executor_of(aws, **roles, assign_public_ip="ENABLED", platform_version="1.4.0")
    template = {"memory_limit": 700, "cpu_limit": 0.5, "working_directory": "/srv", "stop_grace_seconds": 45}
    job = job_view(command=("sh", "-c", "exit 3"), environment={"B": "2", "A": "1"}, template=template)
    launched(executor, job)
    definition = _asked(aws, "RegisterTaskDefinition")
    assert (definition["cpu"], definition["memory"]) == ("512", "1024")
    assert definition["executionRoleArn"] == "arn:aws:iam::1:role/x"
    assert definition["taskRoleArn"] == "arn:aws:iam::1:role/y"
    (container,) = definition["containerDefinitions"]
    assert container["memory"] == 700
    assert (container["workingDirectory"], container["stopTimeout"]) == ("/srv", 45)
    assert container["logConfiguration"] == {
        "logDriver": "awslogs",
        "options": {
            "awslogs-group": "/tallyman",
            "awslogs-region": "us-east-1",
            "awslogs-stream-prefix": "tallyman",
            "mode": "blocking",
        },
    }
    run = _asked(aws, "RunTask")
    assert run["overrides"]["containerOverrides"] == [
        {
            "name": "job",
            "command": ["sh", "-c", "exit 3"],
            "environment": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
        }
    ]
    assert (run["clientToken"], run["launchType"]) == (str(job.attempt_id), "FARGATE")
    assert (run["cluster"], run["platformVersion"]) == (CLUSTER, "1.4.0")
    assert run["startedBy"] == f"tallyman-{INSTALLATION}"
    assert run["networkConfiguration"]["awsvpcConfiguration"] == {
        "subnets": [aws.subnet],
        "securityGroups": [aws.security_group],
        "assignPublicIp": "ENABLED",
    }


def test_no_secret_of_a_job_gets_into_a_task_definition(aws: Aws) -> None:
    launched(executor_of(aws), job_view(environment={"PASSWORD": "hunter2"}, command=("use", "hunter2")))
    assert "hunter2" not in json.dumps(_asked(aws, "RegisterTaskDefinition"))


def test_spot_capacity_is_asked_for_by_its_provider(aws: Aws) -> None:
    launched(executor_of(aws, capacity_provider="FARGATE_SPOT"), job_view())
    run = _asked(aws, "RunTask")
    assert run["capacityProviderStrategy"] == [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
    assert "launchType" not in run


def test_metadata_are_those_of_the_specification(aws: Aws) -> None:
    executor, job = executor_of(aws), job_view()
    made = launched(executor, job)
    (task,) = aws.tasks
    task.availability_zone = "us-east-1a"
    aws.run(task)
    wait_until(lambda: _state(executor, made.container_id) == "running", what="the task to run")
    seen = executor.observe(made.container_id)
    assert seen is not None
    assert set(seen.metadata) == {
        *("task_arn", "task_definition", "cluster", "launch_type", "platform_version"),
        *("availability_zone", "private_ip"),
    }
    assert seen.metadata["task_arn"] == task.task_arn
    assert seen.metadata["cluster"] == CLUSTER
    assert job.saved_metadata is not None


def test_more_than_ecs_takes_is_refused_before_anything_is_started(aws: Aws) -> None:
    with pytest.raises(ContainerExecutionError, match="ECS takes 8192") as refused:
        executor_of(aws).create(job_view(environment={"LARGE": "x" * 8192}))
    assert refused.value.failure_class == "bad_spec"


def test_a_task_goes_from_starting_to_running_to_its_exit(aws: Aws) -> None:
    executor = executor_of(aws)
    made = executor.create(job_view())
    executor.start(made.container_id)
    assert _state(executor, made.container_id) == "starting"
    (task,) = aws.tasks
    aws.run(task)
    wait_until(lambda: _state(executor, made.container_id) == "running", what="the task to run")
    aws.stop(task, exit_code=3)
    wait_until(lambda: _state(executor, made.container_id) == "exited", what="the task to stop")
    seen = executor.observe(made.container_id)
    assert seen is not None
    assert (seen.exit_code, seen.refusal, seen.ended_by) == (3, None, "")
    assert seen.started_at is not None
    assert seen.finished_at is not None


def test_another_worker_finds_the_task_by_the_attempt(aws: Aws) -> None:
    job = job_view()
    made = launched(executor_of(aws), job)
    for later in (executor_of(aws).observe(made.container_id), executor_of(aws).observe(job.container_name)):
        assert later is not None
        assert (later.state, later.label("attempt"), later.name) == ("starting", "1", job.container_name)
    assert executor_of(aws).create(job).fresh is False


def test_a_task_of_an_older_attempt_is_in_the_way_until_it_has_stopped(aws: Aws) -> None:
    first = job_view()
    launched(executor_of(aws), first)
    second = job_view(id=first.id, attempt=2)
    found = executor_of(aws).create(second)
    assert (found.fresh, found.label("attempt")) == (False, "1")
    executor = executor_of(aws)
    executor.remove(found.container_id, force=True)
    assert aws.task_of(first.id).last_status == "STOPPED"
    assert executor.create(second).fresh
    assert executor_of(aws).create(second).fresh


def test_a_start_whose_answers_are_lost_starts_one_task(aws: Aws) -> None:
    aws.tap = _losing("RunTask", after=True)
    executor = executor_of(aws, timeout=3)
    made = executor.create(job_view())
    with pytest.raises(DockerConnectionError):
        executor.start(made.container_id)
    # On a machine that is slow enough it gives up before the last call has taken effect.
    wait_until(lambda: _is_seen(executor, made.container_id), what="the task to be shown")
    assert _state(executor, made.container_id) == "starting"
    assert aws.count("RunTask") == 3
    assert len(aws.tasks) == 1


def test_a_start_that_never_arrived_is_sent_again_with_its_token(aws: Aws) -> None:
    aws.tap = _losing("RunTask", after=False)
    executor = executor_of(aws, timeout=3)
    job = job_view()
    made = executor.create(job)
    with pytest.raises(DockerConnectionError):
        executor.start(made.container_id)
    with pytest.raises(DockerConnectionError, match="a little later"):
        executor.discard(made.container_id)
    aws.tap = None
    wait_until(lambda: _is_discarded(executor, made.container_id), what="the start to be given up")
    again = executor.create(job)
    assert (again.fresh, again.container_id) == (True, made.container_id)
    executor.start(again.container_id)
    assert len({call["clientToken"] for name, call in aws.calls if name == "RunTask"}) == 1
    assert len(aws.tasks) == 1


def test_a_start_that_arrives_after_all_is_the_same_one(aws: Aws) -> None:
    # The request of a worker that died hangs somewhere, until its successor has started the job.
    job = job_view()
    late = executor_of(aws)
    late.create(job)
    launched(executor_of(aws), job)
    late.start(late.create(job).container_id)
    assert len(aws.tasks) == 1


def test_a_token_that_has_a_task_already_names_it(aws: Aws) -> None:
    job = job_view(environment={"A": "1"})
    late = executor_of(aws)
    made = late.create(job)
    launched(executor_of(aws), job_view(id=job.id, attempt_id=job.attempt_id, environment={"A": "2"}))
    late.start(made.container_id)
    assert (_state(late, made.container_id), len(aws.tasks)) == ("starting", 1)


def test_an_attempt_that_ecs_has_forgotten_is_absent(aws: Aws) -> None:
    old = f"01800000-0000-7000-8000-000000000000.{new_id()}.1"
    with pytest.raises(DockerConnectionError, match="a little later"):
        executor_of(aws, settle_seconds=60).observe(old)
    executor = executor_of(aws, settle_seconds=1)
    wait_until(lambda: _is_absent(executor, old), what="ECS to be believed")


def test_what_two_installations_have_is_kept_apart(aws: Aws) -> None:
    ours = launched(executor_of(aws), job_view())
    tags = [{"key": "tallyman.installation", "value": str(new_id())}]
    aws.ecs.run_task(
        cluster=CLUSTER,
        taskDefinition=ours.metadata["task_definition"],
        launchType="FARGATE",
        clientToken="x",
        networkConfiguration={
            "awsvpcConfiguration": {"subnets": [aws.subnet], "securityGroups": [aws.security_group]}
        },
        startedBy=f"tallyman-{INSTALLATION}",
        tags=tags,
    )
    assert [seen.container_id for seen in executor_of(aws).list_containers()] == [ours.container_id]


def test_many_tasks_are_described_in_one_call(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tasks.AT_ONCE == 100
    monkeypatch.setattr(tasks, "AT_ONCE", 10)
    first = executor_of(aws)
    ids = [launched(first, job_view()).container_id for _ in range(12)]
    aws.calls.clear()
    later = executor_of(aws, poll_seconds=300)
    assert {_state(later, one) for one in ids} == {"starting"}
    sizes = [len(call["tasks"]) for name, call in aws.calls if name == "DescribeTasks"]
    assert sizes == [10, 2]


def test_stopping_is_asked_of_ecs_and_a_running_task_is_not_removed(aws: Aws) -> None:
    executor = executor_of(aws)
    made = launched(executor, job_view())
    with pytest.raises(ContainerBusy):
        executor.remove(made.container_id)
    executor.signal(made.container_id, "TERM")
    assert _asked(aws, "StopTask")["reason"] == "tallyman: TERM"
    wait_until(lambda: _state(executor, made.container_id) == "exited", what="the task to stop")
    executor.signal(made.container_id, "KILL")
    assert aws.count("StopTask") == 1
    executor.remove(made.container_id)
    assert executor.list_containers() == []


def test_the_end_of_a_task_is_told(aws: Aws) -> None:
    executor, stop = executor_of(aws), threading.Event()
    hints: list[Hint] = []

    def watch() -> None:
        for hint in executor.watch(stop):
            hints.append(hint)

    thread = threading.Thread(target=watch, daemon=True)
    job = job_view()
    made = launched(executor, job)
    aws.run(aws.tasks[0])
    thread.start()
    wait_until(lambda: len(hints) == 1, what="the watcher to begin")
    aws.stop(aws.tasks[0], exit_code=5)
    wait_until(lambda: len(hints) == 2, what="the end to be told")
    stop.set()
    thread.join(1)
    assert not thread.is_alive()
    told = [(hint.action, hint.container_id, hint.job, hint.detail) for hint in hints]
    assert told == [
        ("connected", None, "", ""),
        ("die", made.container_id, str(job.id), "exit code 5"),
    ]


@pytest.mark.parametrize("operation", ["ListTasks", "DescribeTaskDefinition", "RegisterTaskDefinition"])
def test_throttling_before_the_start_proves_nothing(aws: Aws, operation: str) -> None:
    aws.tap = _answering(operation, error("ThrottlingException", "Rate exceeded"))
    with pytest.raises(DockerConnectionError, match="ThrottlingException: Rate exceeded"):
        executor_of(aws).create(job_view())
    assert aws.count(operation) == 3


@pytest.mark.parametrize(
    ("answer", "failure_class"),
    [
        (error("AccessDeniedException", "not authorized to perform: iam:PassRole"), "permission_denied"),
        (error("InvalidParameterException", "The subnet ID 'subnet-1' does not exist"), "start_refused"),
        (error("ClientException", "Capacity is unavailable at this time"), "capacity"),
        (error("PlatformUnknownException", "The specified platform version does not exist"), "start_refused"),
    ],
)
def test_a_refused_start_is_no_fault_of_the_job(aws: Aws, answer: Reply, failure_class: str) -> None:
    executor = executor_of(aws)
    made = executor.create(job_view())
    aws.tap = _answering("RunTask", answer)
    with pytest.raises(LaunchFailed) as refused:
        executor.start(made.container_id)
    assert refused.value.failure_class == failure_class


def test_a_definition_that_ecs_refuses_rejects_the_job(aws: Aws) -> None:
    refused = error("ClientException", "Container.image contains invalid characters.")
    aws.tap = _answering("RegisterTaskDefinition", refused)
    with pytest.raises(ContainerExecutionError, match="invalid characters") as caught:
        executor_of(aws).create(job_view())
    assert caught.value.failure_class == "create_refused"
    assert not isinstance(caught.value, LaunchFailed)


def test_what_boto3_refuses_to_send_is_said_without_the_values(aws: Aws) -> None:
    executor = executor_of(aws)
    made = executor.create(job_view(environment={"TOKEN": ["hunter2"]}))
    with pytest.raises(ContainerExecutionError, match="environment") as caught:
        executor.start(made.container_id)
    assert "hunter2" not in str(caught.value)
    assert aws.count("RunTask") == 0


def _asked(aws: Aws, operation: str) -> dict[str, Any]:
    return next(request for name, request in reversed(aws.calls) if name == operation)


def _state(executor: Any, container_id: str) -> str:
    seen = executor.observe(container_id)
    return seen.state if seen else ""


def _is_seen(executor: Any, container_id: str) -> bool:
    try:
        return executor.observe(container_id) is not None
    except DockerConnectionError:
        return False


def _is_discarded(executor: Any, container_id: str) -> bool:
    try:
        return executor.discard(container_id) is None
    except DockerConnectionError:
        return False


def _is_absent(executor: Any, container_id: str) -> bool:
    try:
        return executor.observe(container_id) is None
    except DockerConnectionError:
        return False


def _answering(operation: str, reply: Reply) -> Any:
    return lambda asked, _request: reply if asked == operation else None


def _losing(operation: str, *, after: bool) -> Any:
    def tap(asked: str, _request: dict[str, Any]) -> None:
        if asked == operation:
            raise LostReply(after=after)

    return tap

"""Whole runs on Fargate by the real commands: a job's life, and what a killed worker leaves to the next."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from hosts.models import DockerHost
from jobs import operations
from jobs.models import Attempt, ContainerJob, ContainerTemplate
from tests.faults.bench import log_of
from tests.support import supervising
from tests.support.aws import CREDENTIALS, Aws, LostReply, error
from tests.support.supervising import Command, wait_for_status
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.process, pytest.mark.postgres_only, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def cloud(aws: Aws, transactional_db: None) -> DockerHost:
    """The account as a host; its secret key is in the encrypted column."""
    config = {**aws.config, "aws_access_key_id": CREDENTIALS["aws_access_key_id"]}
    host = DockerHost(name="cloud", executor_type="fargate", executor_config=config)
    host.secret_config = {"aws_secret_access_key": CREDENTIALS["aws_secret_access_key"]}
    host.full_clean()
    host.save(force_insert=True)
    return host


@pytest.fixture
def template(transactional_db: None) -> ContainerTemplate:
    """For jobs whose program the test plays."""
    return ContainerTemplate.objects.create(
        name="t", docker_image="busybox:latest", command="work", timeout_seconds=60, stop_grace_seconds=2
    )


def running(database_url: str) -> Any:
    return supervising.running(
        "process_container_jobs", "--poll-interval", "1", database_url=database_url, **_TALK
    )


_TALK = {"AWS_EC2_METADATA_DISABLED": "true"}


def task_of(aws: Aws, job: ContainerJob) -> Any:
    return wait_until(lambda: aws.task_of(job.id), timeout_seconds=25, what="a task")


def test_a_job_runs_on_fargate_with_its_log_and_metadata(
    aws: Aws, cloud: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    job = operations.submit(template, command="work hard")
    with running(database_url):
        task = task_of(aws, job)
        wait_for_status(job, "starting")
        aws.run(task)
        wait_for_status(job, "running")
        aws.say(task, "one", "two")
        wait_until(lambda: Attempt.objects.get(job=job).stdout_bytes, 15, what="the log of a running job")
        aws.say(task, "three")
        aws.stop(task, exit_code=3)
        wait_for_status(job, "failed")
    attempt = Attempt.objects.get(job=job)
    assert (attempt.outcome, attempt.exit_code, attempt.logs_complete) == ("user", 3, True)
    assert log_of(job) == [(b"one\ntwo\nthree\n", b"")]
    assert job.executor_metadata["task_arn"] == task.task_arn
    assert job.executor_metadata["launch_type"] == "FARGATE"
    assert task.overrides["containerOverrides"][0]["command"] == ["work", "hard"]
    assert list(job.events.values_list("kind", flat=True))[-4:] == ["created", "running", "exited", "ended"]


def test_a_killed_worker_leaves_its_tasks_to_the_next_one(
    aws: Aws, cloud: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    moments = ("starting", "running", "exited")
    jobs = {moment: operations.submit(template, name=moment) for moment in moments}
    with running(database_url) as first:
        tasks = {moment: task_of(aws, job) for moment, job in jobs.items()}
        for moment in ("running", "exited"):
            aws.run(tasks[moment])
            aws.say(tasks[moment], "one")
            wait_until(lambda moment=moment: _attempt(jobs[moment]).stdout_bytes, 15, what="the log")
        wait_for_status(jobs["starting"], "starting")
        _kill(first)
    aws.run(tasks["starting"])
    aws.say(tasks["starting"], "one")
    for task in tasks.values():
        aws.say(task, "two")
    aws.stop(tasks["exited"])
    with running(database_url):
        wait_for_status(jobs["exited"], "completed")
        for moment in ("starting", "running"):
            wait_for_status(jobs[moment], "running")
            aws.stop(tasks[moment])
        for moment in moments:
            wait_for_status(jobs[moment], "completed")
    assert len(aws.tasks) == len(jobs)
    assert [log_of(job) for job in jobs.values()] == [[(b"one\ntwo\n", b"")]] * len(jobs)
    assert all(_attempt(job).logs_complete for job in jobs.values())


@pytest.mark.parametrize("arrives", [True, False])
def test_a_worker_killed_while_it_starts_a_task_leaves_one(
    aws: Aws, cloud: DockerHost, template: ContainerTemplate, database_url: str, arrives: bool
) -> None:
    job = operations.submit(template)
    with running(database_url) as first:

        def kill(operation: str, _request: dict[str, Any]) -> None:
            if operation == "RunTask":
                aws.tap = None
                _kill(first)
                raise LostReply(after=arrives)

        aws.tap = kill
        first.process.wait(30)
    assert Attempt.objects.get(job=job).state == "created"
    with running(database_url):
        task = task_of(aws, job)
        aws.run(task)
        wait_for_status(job, "running")
        aws.stop(task)
        wait_for_status(job, "completed")
    assert len(aws.tasks) == 1
    assert Attempt.objects.filter(job=job).count() == 1


def test_what_never_ran_ends_as_what_it_is(
    aws: Aws, cloud: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    unwanted = operations.submit(template, name="unwanted")
    with running(database_url):
        task = task_of(aws, unwanted)
        wait_until(lambda: "task_arn" in _metadata(unwanted), 15, what="the task to be known")
        operations.cancel(unwanted.id, who="test")
        wait_for_status(unwanted, "cancelled")
        assert task.last_status == "STOPPED"

        answers = [error("ClientException", "Capacity is unavailable at this time. Please try again later")]
        aws.tap = lambda operation, _: answers.pop() if operation == "RunTask" and answers else None
        hopeless = operations.submit(template, name="hopeless")
        aws.stop(
            task_of(aws, hopeless),
            exit_code=None,
            stop_code="TaskFailedToStart",
            stopped_reason="CannotPullContainerError: pull image manifest has been retried 1 time(s): failed "
            "to resolve ref docker.io/library/nope:1: docker.io/library/nope:1: not found",
        )
        wait_for_status(hopeless, "failed")
    ended = Attempt.objects.order_by("claimed_at").values_list("outcome", "failure_class")
    assert list(ended) == [
        ("cancelled", "cancelled"),
        ("infra", "capacity"),
        ("rejected", "image_not_found"),
    ]
    assert not Attempt.objects.exclude(started_at=None).exists()


def _attempt(job: ContainerJob) -> Attempt:
    return Attempt.objects.get(job=job)


def _metadata(job: ContainerJob) -> dict[str, Any]:
    job.refresh_from_db()
    return job.executor_metadata


def _kill(command: Command) -> None:
    os.kill(command.process.pid, signal.SIGKILL)

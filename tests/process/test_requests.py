"""What operators ask of running supervisors with `manage.py supervisor`, and what comes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hosts import operations as host_operations
from hosts import pausing
from hosts.models import DockerHost, HostLease, HostRequest
from jobs import operations
from jobs.models import ContainerTemplate
from supervisor.models import Role, SupervisorProcess
from tests.support import supervising
from tests.support.supervising import wait_for_status, wait_for_workers
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

POLL = ("supervise", "--poll-interval", "1")


def answer_to(request: HostRequest) -> HostRequest:
    done = HostRequest.objects.filter(pk=request.pk).exclude(done_at=None)
    wait_until(done.exists, timeout_seconds=10, what=f"an answer to {request.verb}")
    return done.get()


def test_a_worker_is_restarted_and_its_job_runs_on(
    process_host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    with supervising.running(*POLL, database_url=database_url, LOG_FORMAT="json") as command:
        wait_for_workers(1)
        job = operations.submit(template, command="sh -c 'echo one; sleep 3; echo two'")
        wait_for_status(job, "running")
        before = SupervisorProcess.objects.get(role=Role.WORKER).pid
        answer = answer_to(host_operations.request_restart(process_host.pk, by="test"))
        assert answer.ok
        assert answer.result.endswith(f"in place of process {before}.")
        assert HostLease.objects.get().epoch == 2
        wait_for_status(job, "completed")
        wait_until(lambda: "attempt ended" in command.log, 5, "the last line of the attempt")
        told = [json.loads(line) for line in command.log.splitlines()]
    assert (job.execution.stdout, job.attempts.count()) == ("one\ntwo\n", 1)
    of_attempt = [one for one in told if one["event"] in {"attempt claimed", "attempt ended"}]
    assert len(of_attempt) == 2
    for one in of_attempt:
        assert (one["job"], one["attempt"], one["host"], one["role"]) == (str(job.pk), 1, "here", "worker")
        assert one["worker"].endswith(f":{one['pid']}")
    assert of_attempt[0]["pid"] == before != of_attempt[1]["pid"]


@pytest.mark.postgres_only  # nothing of it depends on the database
def test_a_worker_that_does_not_come_up_again_is_told_of(
    process_host: DockerHost, database_url: str, tmp_path: Path
) -> None:
    settings = {"DJANGO_SETTINGS_MODULE": "tests.support.troubled_settings", "TROUBLE": str(tmp_path)}
    with supervising.running(*POLL, database_url=database_url, **settings):
        wait_until(HostLease.objects.filter(epoch=1).exists, timeout_seconds=20, what="the host to be taken")
        (tmp_path / "here").write_text("refuse")
        answer = answer_to(host_operations.request_restart(process_host.pk, by="test"))
        assert not answer.ok
        assert "exit code 78" in answer.result
        (tmp_path / "here").unlink()
        assert answer_to(host_operations.request_restart(process_host.pk, by="test")).ok, "it is not parked"


def test_a_paused_host_takes_nothing_and_says_how_much_runs_on(
    process_host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    with supervising.running(*POLL, database_url=database_url):
        running = operations.submit(template, command="sleep 30")
        wait_for_status(running, "running")
        answer = answer_to(host_operations.pause(process_host.pk, by="test"))
        assert (answer.ok, answer.result) == (True, "Takes no new jobs; 1 running.")
        late = operations.submit(template, command="true")
        wait_until(lambda: reason_of(late), timeout_seconds=10, what="the reason")
        assert "cordoned" in reason_of(late)
        answer = answer_to(host_operations.resume(process_host.pk, by="test"))
        assert answer.result == "Takes jobs; 1 running."
        wait_for_status(late, "completed")
        operations.cancel(running.pk, who="test", force=True)
        wait_for_status(running, "cancelled")


def reason_of(job: object) -> str:
    job.refresh_from_db()
    return job.pending_reason


def test_nothing_is_claimed_by_anybody_while_all_is_paused(
    process_host: DockerHost, template: ContainerTemplate, database_url: str, tmp_path: Path
) -> None:
    DockerHost.objects.create(
        name="there", executor_type="process", executor_config={"root": str(tmp_path / "there")}
    )
    with supervising.running(*POLL, database_url=database_url):
        wait_for_workers(2)
        running = operations.submit(template, command="sh -c 'sleep 2; echo done'")
        wait_for_status(running, "running")
        pausing.pause_all(by="test")
        late = [operations.submit(template, command="true") for _ in range(5)]
        wait_until(lambda: reason_of(late[-1]), timeout_seconds=10, what="the reason")
        assert "All claims are paused" in reason_of(late[-1])
        wait_for_status(running, "completed")  # what runs goes on
        for job in late:
            job.refresh_from_db()
            assert (job.status, job.attempt_count) == ("pending", 0)
        pausing.resume_all()
        for job in late:
            wait_for_status(job, "completed", timeout_seconds=10)

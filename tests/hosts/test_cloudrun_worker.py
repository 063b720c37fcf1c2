"""Whole runs of jobs on a Cloud Run host by the real supervisor, workers killed in the middle too."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from hosts.models import DockerHost
from jobs import operations
from jobs.models import Attempt, ContainerJob, ContainerTemplate
from jobs.states import ENDED_STATUSES
from supervisor.models import Role, SupervisorProcess
from tests.support import fake_cloudrun, supervising
from tests.support.cloudrun import CloudBench, shell
from tests.support.fake_cloudrun import FakeCloudRun, Fault
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]
PATIENCE_SECONDS = 40.0


@pytest.fixture
def fake() -> Iterator[FakeCloudRun]:
    with fake_cloudrun.serving() as fake:
        yield fake


@pytest.fixture
def host(fake: FakeCloudRun, tmp_path: Path, transactional_db: None) -> DockerHost:
    config = CloudBench(fake, tmp_path, max_retries=1).config
    return DockerHost.objects.create(
        name="cloud", executor_type="cloudrun", connection_string=fake.url, executor_config=config
    )


@pytest.fixture
def template(transactional_db: None) -> ContainerTemplate:
    return ContainerTemplate.objects.create(
        name="t", docker_image="gcr.io/p/i", command="true", timeout_seconds=60, stop_grace_seconds=1
    )


def submit(template: ContainerTemplate, script: str, **fields: object) -> ContainerJob:
    return operations.submit(template, command=shell(script), **fields)


def wait_for_end(*jobs: ContainerJob) -> list[str]:
    """The status of each job once all have ended."""
    return [
        supervising.wait_for_status(job, *ENDED_STATUSES, timeout_seconds=PATIENCE_SECONDS).status
        for job in jobs
    ]


def last_attempt(job: ContainerJob) -> Attempt:
    return Attempt.objects.get(job=job, number=job.attempt_count)


def kill_worker() -> None:
    """KILL the worker, and wait for the one that follows it."""
    running = SupervisorProcess.objects.filter(role=Role.WORKER, state="running")
    first = wait_until(running.first, timeout_seconds=20, what="a worker").pid
    psutil.Process(first).send_signal(signal.SIGKILL)
    wait_until(lambda: running.exclude(pid=first).exists(), timeout_seconds=20, what="another worker")


def wait_until_removed(fake: FakeCloudRun) -> None:
    wait_until(lambda: not fake.jobs, timeout_seconds=20, what="the jobs to be removed from Cloud Run")


def test_a_killed_worker_is_followed_by_one_that_adopts_what_runs_and_completes_its_log(
    host: DockerHost, template: ContainerTemplate, fake: FakeCloudRun, tmp_path: Path, database_url: str
):
    gate = tmp_path / "gate"
    wait = f"while [ ! -e {gate} ]; do sleep 0.05; done"
    job = submit(
        template, f"for i in 1 2 3; do echo before $i; done; {wait}; echo after; echo err >&2; exit 3"
    )
    with supervising.running("supervise", database_url=database_url):
        wait_until(
            lambda: Attempt.objects.filter(job=job, stdout_bytes=27).exists(),
            PATIENCE_SECONDS,
            "the first lines",
        )
        kill_worker()
        gate.touch()
        assert wait_for_end(job) == ["failed"]
        wait_until_removed(fake)
    assert (job.exit_code, job.attempts.count(), last_attempt(job).logs_complete) == (3, 1, True)
    assert job.execution.stdout == "before 1\nbefore 2\nbefore 3\nafter\n"
    assert job.execution.stderr == "err\n"
    assert fake.started == {str(job.id): 1}
    assert set(job.executor_metadata) == {
        *("job_name", "execution_name", "region", "project", "service_url", "revision", "generation")
    }


def test_a_start_that_arrives_when_its_worker_is_dead_starts_nothing_a_second_time(
    host: DockerHost, template: ContainerTemplate, fake: FakeCloudRun, database_url: str
):
    late = Fault("PATCH", "/jobs/", status=200, gate=threading.Event())
    fake.faults.append(late)
    job = submit(template, "echo once")
    with supervising.running("supervise", database_url=database_url):
        wait_until(lambda: late.hits, timeout_seconds=20, what="the start to be on its way")
        kill_worker()
        wait_until(lambda: fake.count("DELETE", "/jobs/"), timeout_seconds=20, what="the job to be made anew")
        late.gate.set()
        assert wait_for_end(job) == ["completed"]
        wait_until_removed(fake)
    assert (fake.started, job.execution.stdout) == ({str(job.id): 1}, "once\n")


def test_lost_replies_and_a_service_that_is_busy_or_away_are_no_failures(
    host: DockerHost, template: ContainerTemplate, fake: FakeCloudRun, database_url: str
):
    fake.faults += [
        Fault("POST", "/jobs$", status=0, after=True),
        Fault("PATCH", "/jobs/", status=0, after=True),
        Fault("PATCH", "/jobs/", status=504, after=True),
        Fault("POST", "/jobs$", status=429, times=2),
        Fault("GET", "/executions/", status=503, times=3),
        Fault("GET", "/tasks", status=500),
        Fault("POST", "entries:list", status=503, times=2),
        Fault("DELETE", "/jobs/", status=503, after=True),
    ]
    fake.lag, fake.lag_of_read = 0.1, 0.05
    jobs = [submit(template, f"echo {number}; exit {number}") for number in range(4)]
    with supervising.running("supervise", database_url=database_url):
        assert wait_for_end(*jobs) == ["completed", "failed", "failed", "failed"]
        wait_until_removed(fake)
    assert [job.exit_code for job in jobs] == [0, 1, 2, 3]
    assert [job.execution.stdout for job in jobs] == ["0\n", "1\n", "2\n", "3\n"]
    assert fake.started == {str(job.id): 1 for job in jobs}
    assert all(fault.hits == fault.times for fault in fake.faults)


def test_what_comes_before_the_start_does_not_count_into_the_timeout(
    host: DockerHost, fake: FakeCloudRun, database_url: str
):
    fake.lag_of_start = 2.5
    quick = ContainerTemplate.objects.create(
        name="quick", docker_image="gcr.io/p/i", command="sleep 0.2", timeout_seconds=1, stop_grace_seconds=1
    )
    job = operations.submit(quick)
    waits = Attempt.objects.filter(job=job, state="created", phase="Waiting for resources.")
    with supervising.running("supervise", database_url=database_url):
        wait_until(waits.exists, timeout_seconds=20, what="a word on what it waits for")
        assert wait_for_end(job) == ["completed"]
    assert (job.attempts.count(), fake.started) == (1, {str(job.id): 1})


def test_jobs_end_as_cancelled_timed_out_rejected_or_after_the_retries_of_the_host(
    host: DockerHost, template: ContainerTemplate, fake: FakeCloudRun, database_url: str
):
    fake.missing_images.add("gcr.io/p/none")
    fake.denied_for_lack_of_quota.add("gcr.io/p/too-many")
    cancelled = submit(template, "sleep 60")
    quick = ContainerTemplate.objects.create(
        name="quick", docker_image="gcr.io/p/i", command="true", timeout_seconds=1, stop_grace_seconds=1
    )
    late = submit(quick, "sleep 60")
    rejected = submit(template, "true", image="gcr.io/p/none")
    unlucky = submit(template, "true", image="gcr.io/p/too-many")
    jobs = [cancelled, late, rejected, unlucky]
    with supervising.running("supervise", database_url=database_url):
        supervising.wait_for_status(cancelled, "running")
        operations.cancel(cancelled.id, who="a test")
        assert wait_for_end(*jobs) == ["cancelled", "timeout", "failed", "failed"]
        wait_until_removed(fake)
    ends = [(last_attempt(job).outcome, last_attempt(job).failure_class) for job in (rejected, unlucky)]
    assert ends == [("rejected", "image_not_found"), ("infra", "quota")]
    # The template says three retries, the host one.
    assert [job.attempts.count() for job in jobs] == [1, 1, 1, 2]
    assert str(rejected.id) not in fake.started

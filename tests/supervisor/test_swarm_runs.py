"""Jobs on a real swarm from their submission to their end, by real workers."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest
from django.utils import timezone

from hosts.executors.frames import STDOUT
from hosts.models import DockerHost
from jobs import logs, operations
from jobs.models import Attempt, ContainerJob, ContainerTemplate, EnvironmentVariable
from jobs.states import ENDED_STATUSES
from tests.supervisor.working import shell, work
from tests.support import supervising
from tests.support.supervising import StartCounter, wait_for_all_ended, wait_for_status
from tests.support.swarms import SwarmNode
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.docker, pytest.mark.process, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def swarm_host(swarm: SwarmNode, transactional_db: None) -> DockerHost:
    """The shared swarm as a host."""
    fields = {"executor_type": "swarm", "connection_string": swarm.url, "policy": {"root": True}}
    return DockerHost.objects.create(name="swarm", **fields)


def ended(job: ContainerJob) -> ContainerJob:
    job.refresh_from_db()
    return job


def test_jobs_of_every_end_are_told_as_on_any_host(
    swarm_host: DockerHost, swarm: SwarmNode, template: ContainerTemplate, database_url: str
) -> None:
    short = ContainerTemplate.objects.create(
        name="short", docker_image="busybox", command="sleep 60", timeout_seconds=1, stop_grace_seconds=1
    )
    small = ContainerTemplate.objects.create(
        name="small", docker_image="busybox", command="tail /dev/zero", memory_limit=64
    )
    absent = ContainerTemplate.objects.create(
        name="absent", docker_image="127.0.0.1:1/nobody/nothing:1", command="true", infra_retries=0
    )
    jobs = {
        "good": shell(template, "echo fine"),
        "bad": shell(template, "echo broken >&2; exit 3"),
        "late": operations.submit(short),
        "big": operations.submit(small),
        "missing": operations.submit(absent),
        "nothing": operations.submit(template, command="/no/such/program"),
    }
    counter = StartCounter(swarm.engine)
    work("--once", database_url=database_url)
    counter.close()
    told = {name: (ended(job).status, job.exit_code, job.failure_class) for name, job in jobs.items()}
    assert told == {
        "good": ("completed", 0, ""),
        "bad": ("failed", 3, "exit_code"),
        "late": ("timeout", told["late"][1], "timeout"),
        "big": ("failed", 137, "oom"),
        "missing": ("failed", None, "image_missing"),
        "nothing": ("failed", 127, "command_not_found"),
    }
    assert jobs["good"].execution.stdout == "fine\n"
    assert jobs["bad"].execution.stderr == "broken\n"
    assert all(attempt.logs_complete for attempt in Attempt.objects.exclude(job=jobs["missing"]))
    assert set(counter.starts.values()) == {1}
    assert not swarm.services()


@pytest.mark.postgres_only  # nothing of it depends on the database
def test_a_killed_worker_leaves_its_job_running_and_the_next_one_has_all_of_its_log(
    swarm_host: DockerHost, swarm: SwarmNode, template: ContainerTemplate, database_url: str
) -> None:
    counter = StartCounter(swarm.engine)
    job = shell(template, "for i in 1 2 3 4 5 6 7 8; do echo line $i; sleep 0.5; done; exit 4")
    with supervising.running("supervise", database_url=database_url) as first:
        wait_until(lambda: Attempt.objects.filter(stdout_bytes__gt=0).exists(), 20, "its first line")
        first.kill_everything()
    with supervising.running("supervise", database_url=database_url):
        wait_for_all_ended()
    counter.close()
    assert (ended(job).status, job.exit_code, job.attempts.count()) == ("failed", 4, 1)
    assert job.execution.stdout == "".join(f"line {number}\n" for number in range(1, 9))
    assert sum(counter.starts.values()) == 1


@pytest.mark.postgres_only  # nothing of it depends on the database
def test_a_log_of_100_000_lines_is_stored_byte_for_byte(
    swarm_host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    job = shell(template, "seq 1 100000")
    code, _ = work("--once", database_url=database_url)
    assert (code, ended(job).status) == (0, "completed")
    attempt = job.attempts.get()
    expected = "".join(f"{number}\n" for number in range(1, 100_001)).encode()
    stored = b"".join(logs.stream_bytes(attempt.pk, STDOUT))
    assert len(stored) == len(expected)
    assert hashlib.sha256(stored).digest() == hashlib.sha256(expected).digest()
    assert attempt.logs_complete


@pytest.mark.postgres_only  # nothing of it depends on the database
def test_a_cancelled_job_has_its_last_words_and_nothing_ever_shows_its_secrets(
    swarm_host: DockerHost, swarm: SwarmNode, template: ContainerTemplate, database_url: str
) -> None:
    EnvironmentVariable.objects.create(template=template, key="PLAIN", value="seen-by-all")
    EnvironmentVariable.objects.create(
        template=template, key="PASSWORD", value="hunter2-s3cret", is_secret=True
    )
    EnvironmentVariable.objects.create(template=template, key="EMPTY", value="", is_secret=True)
    job = shell(
        template,
        'trap "echo bye; exit 0" TERM; cat /run/secrets/PASSWORD $TOKEN_FILE; echo; '
        "echo $PLAIN${PASSWORD}; while :; do sleep 0.1; done",
        secret_environment={"TOKEN": "t0ken-of-the-job"},
    )
    with supervising.running("process_container_jobs", database_url=database_url):
        wait_until(lambda: Attempt.objects.filter(stdout_bytes__gt=0).exists(), 20, "its output")
        shown = swarm.everything()
        assert "seen-by-all" in shown
        assert "hunter2" not in shown
        assert "t0ken-of" not in shown
        assert len(swarm.api.secrets()) == 2
        operations.cancel(job.id, who="test")
        wait_for_status(job, "cancelled")
    assert job.execution.stdout == "hunter2-s3crett0ken-of-the-job\nseen-by-all\nbye\n"
    wait_until(lambda: not swarm.api.secrets(), 10, "its secrets to be gone")


@pytest.mark.postgres_only  # nothing of it depends on the database
def test_waiting_for_a_node_is_told_and_does_not_count_into_the_timeout(
    swarm_host: DockerHost, swarm: SwarmNode, database_url: str
) -> None:
    swarm_host.executor_config = {"constraints": ["node.labels.room==yes"]}
    swarm_host.save()
    template = ContainerTemplate.objects.create(
        name="quick", docker_image="busybox", command="sleep 0.2", timeout_seconds=1, stop_grace_seconds=1
    )
    job = operations.submit(template)
    waits = Attempt.objects.filter(job=job, state="created", phase__contains="no suitable node")
    with supervising.running("supervise", database_url=database_url):
        wait_until(waits.exists, 20, "the word that no node takes it")
        wait_until(
            lambda: waits.filter(claimed_at__lt=timezone.now() - timedelta(seconds=2)).exists(), 20, "2 s"
        )
        swarm.label(swarm.id, room="yes")
        assert wait_for_status(job, *ENDED_STATUSES).status == "completed"
    assert job.started_at > job.attempts.get().claimed_at + timedelta(seconds=2)

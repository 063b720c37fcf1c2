"""The main job, end to end: real supervisors, real containers on two real engines, on both databases."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest

from hosts.models import DockerHost, HostLease
from jobs import logs, operations
from jobs.models import Attempt, ContainerExecution, ContainerJob, ContainerTemplate, Tally
from supervisor.models import Role, SupervisorProcess
from tests.support import supervising
from tests.support.engines import Engine
from tests.support.registry import Registry
from tests.support.supervising import StartCounter, wait_for_all_ended, wait_for_status, wait_for_workers
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.docker, pytest.mark.process, pytest.mark.django_db(transaction=True)]

Engines = tuple[Engine, Engine]


@pytest.fixture
def hosts(two_engines: Engines) -> list[DockerHost]:
    return [
        DockerHost.objects.create(
            name=name, connection_string=engine.url, max_concurrent_jobs=6, policy={"root": True}
        )
        for name, engine in zip("ab", two_engines, strict=True)
    ]


@pytest.fixture
def template() -> ContainerTemplate:
    return ContainerTemplate.objects.create(
        name="t", docker_image="busybox:latest", command="true", timeout_seconds=60, stop_grace_seconds=1
    )


def shell(template: ContainerTemplate, script: str, **fields: Any) -> ContainerJob:
    return operations.submit(template, command=f"sh -c '{script}'", **fields)


def no_containers(engines: Engines) -> bool:
    return not any(engine.api.containers(all=True) for engine in engines)


def test_forty_mixed_jobs_end_right_on_both_hosts(
    two_engines: Engines, hosts: list[DockerHost], template: ContainerTemplate, database_url: str
) -> None:
    short = ContainerTemplate.objects.create(
        name="short", docker_image="busybox:latest", timeout_seconds=1, stop_grace_seconds=1
    )
    small = ContainerTemplate.objects.create(
        name="small", docker_image="busybox:latest", command="tail /dev/zero", memory_limit=64
    )
    with (
        Registry() as registry,
        supervising.running("supervise", "--poll-interval", "1", database_url=database_url),
    ):
        plain = [shell(template, f"echo out {n}; echo err {n} >&2; exit {n % 3}") for n in range(36)]
        slow = operations.submit(short, command="sleep 300")
        hungry = operations.submit(small)
        missing = operations.submit(template, image=f"{registry.address}/no/such:1")
        unwanted = operations.submit(template, command="sleep 300")
        wait_for_status(unwanted, "running")
        operations.cancel(unwanted.id, who="test")
        wait_for_all_ended()
        wait_until(lambda: no_containers(two_engines), timeout_seconds=10, what="no container to be left")
    for number, job in enumerate(plain):
        assert_plain(job, number)
    assert verdict(slow) == ("timeout", "timeout")
    assert verdict(hungry) == ("failed", "oom")
    assert verdict(missing) == ("failed", "image_not_found")
    assert verdict(unwanted) == ("cancelled", "cancelled")
    assert set(Attempt.objects.values_list("host_name", flat=True)) == {"a", "b"}
    assert Attempt.objects.count() == sum(Tally.objects.values_list("count", flat=True)) == 40
    assert not Attempt.objects.filter(logs_complete=False).exists()


def assert_plain(job: ContainerJob, number: int) -> None:
    job.refresh_from_db()
    assert (job.status, job.exit_code) == ("failed" if number % 3 else "completed", number % 3)
    execution = ContainerExecution.objects.get(job=job)
    assert (execution.stdout, execution.stderr) == (f"out {number}\n", f"err {number}\n")
    (attempt,) = job.attempts.all()
    assert b"".join(logs.stream_bytes(attempt.id, 1)) == f"out {number}\n".encode()
    assert job.executor_metadata["container_id"] == attempt.container_id
    assert job.started_at < job.completed_at


def verdict(job: ContainerJob) -> tuple[str, str]:
    job.refresh_from_db()
    return job.status, job.failure_class


def test_a_killed_worker_is_replaced_and_its_containers_adopted(
    two_engines: Engines, hosts: list[DockerHost], template: ContainerTemplate, database_url: str
) -> None:
    counter = StartCounter(*two_engines)
    with supervising.running("supervise", database_url=database_url) as supervisor:
        jobs = [shell(template, f"echo {n}; sleep 4; echo end", host=hosts[0]) for n in range(5)]
        for job in jobs:
            wait_for_status(job, "running")
        wait_for_workers(2)
        victim = SupervisorProcess.objects.get(role=Role.WORKER, host=hosts[0])
        os.kill(victim.pid, signal.SIGKILL)
        killed = time.monotonic()
        adopted = Attempt.objects.open().filter(host=hosts[0], epoch=2)
        wait_until(lambda: adopted.count() == 5, timeout_seconds=2, what="adoption within 2 s")
        assert time.monotonic() - killed < 2
        wait_for_all_ended()
        assert supervisor.process.poll() is None
    assert all(verdict(job) == ("completed", "") for job in jobs)
    assert {execution.stdout for execution in ContainerExecution.objects.all()} == {
        f"{n}\nend\n" for n in range(5)
    }
    assert counter.starts == {(str(job.id), "1"): 1 for job in jobs}
    counter.close()


def test_after_everything_was_killed_a_new_supervisor_takes_over_at_once(
    two_engines: Engines, hosts: list[DockerHost], template: ContainerTemplate, database_url: str
) -> None:
    counter = StartCounter(*two_engines)
    with supervising.running("supervise", database_url=database_url) as first:
        ended_meanwhile = shell(template, "echo a; sleep 1; exit 7", host=hosts[0])
        goes_on = shell(template, "echo b; sleep 5; echo c", host=hosts[1])
        wait_for_status(ended_meanwhile, "running")
        wait_for_status(goes_on, "running")
        first.kill_everything()
    engine = two_engines[0]
    wait_until(lambda: not engine.api.containers(), timeout_seconds=10, what="the first container to exit")
    with supervising.running("supervise", database_url=database_url):
        taken = HostLease.objects.filter(epoch=2)
        wait_until(lambda: taken.count() == 2, timeout_seconds=5, what="both hosts to be taken over")
        wait_for_all_ended()
    for job in (ended_meanwhile, goes_on):
        job.refresh_from_db()
    assert (ended_meanwhile.status, ended_meanwhile.exit_code) == ("failed", 7)
    assert goes_on.status == "completed"
    assert goes_on.execution.stdout == "b\nc\n"
    assert goes_on.execution.peak_memory_bytes > 0
    assert goes_on.execution.cpu_seconds > 0
    assert counter.starts == {(str(job.id), "1"): 1 for job in (ended_meanwhile, goes_on)}
    counter.close()


@pytest.mark.postgres_only
def test_two_supervisors_never_run_a_job_twice(
    two_engines: Engines, hosts: list[DockerHost], template: ContainerTemplate, database_url: str
) -> None:
    counter = StartCounter(*two_engines)
    jobs = [shell(template, f"echo {n}") for n in range(30)]
    with (
        supervising.running("supervise", "--poll-interval", "1", database_url=database_url),
        supervising.running("supervise", "--poll-interval", "1", database_url=database_url) as second,
    ):
        wait_for_all_ended()
        more = [shell(template, f"echo {n}") for n in range(10)]
        second.kill_everything()
        wait_for_all_ended()
    assert counter.starts == {(str(job.id), "1"): 1 for job in jobs + more}
    assert {job.status for job in ContainerJob.objects.all()} == {"completed"}
    counter.close()

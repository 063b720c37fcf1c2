"""Jobs that cannot run as they are: each says why it failed, and none holds up the ones behind it."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from hosts.models import DockerHost
from jobs import operations
from jobs.models import Attempt, ContainerJob, ContainerTemplate, NetworkAssignment
from tests.supervisor.working import AnyEngine, names, work
from tests.support import supervising
from tests.support.registry import Registry
from tests.support.supervising import wait_for_status
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.docker, pytest.mark.process, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def one_slot(host: DockerHost) -> DockerHost:
    """A host that runs one job at a time: whatever is stuck there is in everybody's way."""
    DockerHost.objects.update(max_concurrent_jobs=1)
    return host


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as registry:
        yield registry


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address where nothing listens, and nothing will."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{reserved.getsockname()[1]}"


def template_with(name: str, **fields: Any) -> ContainerTemplate:
    return ContainerTemplate.objects.create(name=name, docker_image="busybox:latest", **fields)


def verdict(job: ContainerJob) -> tuple[str, int | None, str]:
    job.refresh_from_db()
    return job.status, job.exit_code, job.failure_class


def broken_jobs(
    template: ContainerTemplate, registry: Registry
) -> dict[ContainerJob, tuple[int | None, str]]:
    """Jobs that will never run, with the exit code and the failure class that each shall end with."""
    networked = template_with("networked", command="true")
    NetworkAssignment.objects.create(template=networked, network_name="no-such-network")
    unclosed = template_with("unclosed")
    ContainerTemplate.objects.filter(pk=unclosed.pk).update(command="sh -c 'echo")
    listed = operations.submit(template)
    ContainerJob.objects.filter(pk=listed.pk).update(override_environment=["A=1"])
    return {
        operations.submit(template, command="/no/such/command"): (127, "command_not_found"),
        operations.submit(template, command="no-such-command in the path"): (127, "command_not_found"),
        operations.submit(template, command="/tmp"): (126, "command_not_executable"),
        operations.submit(template, image=f"{registry.address}/no/such:1"): (None, "image_not_found"),
        operations.submit(template, image=f"{registry.address}/denied/x:v1"): (None, "image_denied"),
        operations.submit(template, image="No Image At All"): (None, "create_refused"),
        operations.submit(networked): (None, "network_missing"),
        operations.submit(unclosed): (None, "bad_spec"),
        listed: (None, "bad_spec"),
        operations.submit(template_with("nowhere", working_directory="tmp")): (None, "create_refused"),
    }


def test_each_broken_job_says_why_and_a_good_one_behind_them_completes(
    engine: AnyEngine,
    one_slot: DockerHost,
    template: ContainerTemplate,
    registry: Registry,
    database_url: str,
) -> None:
    too_large = operations.submit(template_with("cpus", cpu_limit=32))
    expected = broken_jobs(template, registry)
    good = operations.submit(template, command="echo good")
    code, log = work("--once", database_url=database_url)
    assert (code, "Traceback" in log) == (0, False)
    assert {job: verdict(job) for job in expected} == {job: ("failed", *end) for job, end in expected.items()}
    for job in expected:
        assert job.failure_message
        assert job.failure_hint
        # (A tiny first process of the container's own finds out about a bad command.)
        assert Attempt.objects.get(job=job).outcome == ("rejected" if job.exit_code is None else "user")
        assert Attempt.objects.get(job=job).container_name not in names(engine)
    good.refresh_from_db()
    assert (good.status, good.execution.stdout) == ("completed", "good\n")
    assert verdict(too_large) == ("pending", None, "")  # a larger host may come


def test_an_unreachable_registry_is_tried_again_later_and_blocks_nobody(
    one_slot: DockerHost, template: ContainerTemplate, nobody: str, database_url: str
) -> None:
    waiting = operations.submit(template, image=f"{nobody}/some/image:1")
    good = operations.submit(template, command="echo good")
    assert work("--once", database_url=database_url)[0] == 0
    assert verdict(good)[0] == "completed"
    assert verdict(waiting) == ("pending", None, "registry_unreachable")
    assert waiting.not_before_at is not None
    assert "connection refused" in waiting.failure_message
    assert (waiting.infra_failure_count, Attempt.objects.get(job=waiting).outcome) == (1, "infra")


@pytest.mark.sqlite_only
def test_a_registry_that_is_never_there_fails_the_job_in_the_end(
    one_slot: DockerHost, template: ContainerTemplate, nobody: str, database_url: str
) -> None:
    job = operations.submit(template, image=f"{nobody}/some/image:1")
    ContainerJob.objects.update(infra_failure_count=3)
    assert work("--once", database_url=database_url)[0] == 0
    assert verdict(job) == ("failed", None, "registry_unreachable")
    assert "connection refused" in job.failure_message


def test_a_job_that_is_cancelled_while_its_image_is_pulled_ends_soon(
    one_slot: DockerHost, template: ContainerTemplate, registry: Registry, database_url: str
) -> None:
    stuck = operations.submit(template, image=f"{registry.address}/stuck/image:v1")
    behind = operations.submit(template, command="echo good")
    command = ("process_container_jobs", "--poll-interval", "0.2")
    with supervising.running(*command, database_url=database_url):
        pulling = Attempt.objects.filter(job=stuck, state="pulling")
        wait_until(pulling.exists, timeout_seconds=20, what="the pull to begin")
        operations.cancel(stuck.id, who="test")
        cancelled = time.monotonic()
        wait_for_status(stuck, "cancelled")
        assert time.monotonic() - cancelled < 5
        wait_for_status(behind, "completed")
    assert verdict(stuck) == ("cancelled", None, "cancelled")
    assert Attempt.objects.get(job=stuck).started_at is None


@pytest.mark.sqlite_only
def test_a_stop_signal_that_no_engine_knows_only_costs_its_grace(
    host: DockerHost, other_host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    ContainerTemplate.objects.update(stop_signal="SIGNONE")  # as plain SQL would
    jobs = [operations.submit(template, command="sleep 60", host=one) for one in (host, other_host)]
    command = ("process_container_jobs", "--poll-interval", "0.2")
    with supervising.running(*command, database_url=database_url):
        for job in jobs:
            wait_for_status(job, "running")
            operations.cancel(job.id, who="test")
        for job in jobs:
            wait_for_status(job, "cancelled")


@pytest.mark.sqlite_only
def test_a_worker_is_stopped_soon_while_an_image_is_pulled(
    one_slot: DockerHost, template: ContainerTemplate, registry: Registry, database_url: str
) -> None:
    operations.submit(template, image=f"{registry.address}/stuck/image:v1")
    with supervising.running("process_container_jobs", database_url=database_url) as command:
        pulling = Attempt.objects.filter(state="pulling")
        wait_until(pulling.exists, timeout_seconds=20, what="the pull to begin")
        before = time.monotonic()
        assert command.stop() == 0
        assert time.monotonic() - before < 5

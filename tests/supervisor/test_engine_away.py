"""An engine that hangs or goes away while jobs run on it: the worker stays calm, and can be stopped."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psutil
import pytest

from hosts.models import DockerHost, HostLease, HostState
from jobs import operations
from jobs.models import Attempt, ContainerJob, ContainerTemplate
from supervisor.models import Role, SupervisorProcess
from tests.supervisor.working import AnyEngine, work
from tests.support import supervising
from tests.support.relay import Relay
from tests.support.requirements import missing
from tests.support.supervising import wait_for_status
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.docker,
    pytest.mark.process,
    pytest.mark.postgres_only,
    pytest.mark.django_db(transaction=True),
]


@pytest.fixture
def relay(engine: AnyEngine) -> Iterator[Relay]:
    """The way to the engine, which can be cut and frozen."""
    if not engine.url.startswith("unix://"):
        missing("docker", "the engine that answers has no socket on this machine")
    with Relay(engine.url.removeprefix("unix://")) as relay:
        yield relay


@pytest.fixture
def far_host(relay: Relay, transactional_db: None) -> DockerHost:
    return DockerHost.objects.create(name="far", connection_string=relay.url, executor_config={"timeout": 1})


def becomes(host: DockerHost, state: HostState) -> None:
    seen = DockerHost.objects.filter(pk=host.pk, state=state)
    wait_until(seen.exists, timeout_seconds=20, what=f"the host to be {state}")


def cpu_share_while_probing(relay: Relay) -> float:
    """Which part of a CPU the worker uses until it has asked for its engine twice more."""
    process = psutil.Process(SupervisorProcess.objects.get(role=Role.STANDALONE).pid)
    began, used, asked = time.monotonic(), sum(process.cpu_times()), relay.connections
    wait_until(lambda: relay.connections > asked + 1, timeout_seconds=20, what="two more questions")
    return (sum(process.cpu_times()) - used) / (time.monotonic() - began)


def test_a_job_goes_on_through_an_outage_of_its_engine_and_nobody_spins_meanwhile(
    relay: Relay, far_host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    job = operations.submit(template, command="sh -c 'echo one; sleep 5; echo two'")
    with supervising.running("process_container_jobs", database_url=database_url):
        wait_for_status(job, "running")
        wait_until(lambda: Attempt.objects.get().stdout_bytes, timeout_seconds=10, what="the first line")
        relay.freeze()
        relay.cut()
        becomes(far_host, HostState.UNREACHABLE)
        assert cpu_share_while_probing(relay) < 0.4
        assert ContainerJob.objects.get().status == "running"
        relay.thaw()
        becomes(far_host, HostState.ONLINE)
        wait_for_status(job, "completed")
    assert (job.execution.stdout, job.attempts.count()) == ("one\ntwo\n", 1)


def test_a_supervisor_whose_engine_hangs_gives_its_host_back_within_the_timeout(
    relay: Relay, far_host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    DockerHost.objects.update(executor_config={"timeout": 30})
    with supervising.running("supervise", database_url=database_url) as command:
        becomes(far_host, HostState.ONLINE)
        relay.freeze()
        job = operations.submit(template, command="true")
        wait_for_status(job, "starting")
        before = time.monotonic()
        assert command.stop() == 0
        assert time.monotonic() - before < 5
        assert "did not end in time" not in command.log
    assert HostLease.objects.get().released_at is not None
    relay.thaw()
    assert work("--once", database_url=database_url)[0] == 0
    job.refresh_from_db()
    assert (job.status, job.attempts.count()) == ("completed", 1)

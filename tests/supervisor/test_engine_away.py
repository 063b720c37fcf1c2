"""An engine that hangs or goes away while jobs run on it: the worker stays calm, and can be stopped."""

from __future__ import annotations

import signal
import time

import psutil
import pytest

from hosts.models import DockerHost, HostLease, HostState
from jobs import operations
from jobs.models import Attempt, ContainerJob, ContainerTemplate, JobEvent
from supervisor.models import Role, SupervisorProcess
from tests.supervisor.working import AnyEngine, work
from tests.support import supervising
from tests.support.relay import Relay
from tests.support.supervising import wait_for_status
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.docker,
    pytest.mark.process,
    pytest.mark.postgres_only,
    pytest.mark.django_db(transaction=True),
]


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


def test_who_stops_it_again_waits_for_no_engine_and_the_host_is_given_back_all_the_same(
    relay: Relay, far_host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    DockerHost.objects.update(executor_config={"timeout": 60})
    with supervising.running("supervise", "--shutdown-timeout", "60", database_url=database_url) as command:
        becomes(far_host, HostState.ONLINE)
        relay.freeze()
        wait_for_status(operations.submit(template, command="true"), "starting")
        command.signal(signal.SIGTERM)
        wait_until(lambda: "tallyman: master 1/1 hosts, stopping" in title(command), 5, "it to stop")
        command.signal(signal.SIGUSR1)
        wait_until(lambda: "role=worker" in command.log.partition("supervisor stops")[2], 5, "the list")
        assert command.process.poll() is None, "it waits for what is under way"
        before = time.monotonic()
        command.signal(signal.SIGTERM)
        assert command.process.wait(10) == 0
        assert time.monotonic() - before < 3
        assert "did not end in time" not in command.log
    assert HostLease.objects.get().released_at is not None


def title(command: supervising.Command) -> str:
    return " ".join(psutil.Process(command.process.pid).cmdline())


def test_what_is_cancelled_or_over_its_time_while_its_host_is_away_is_stopped_when_it_is_back(
    relay: Relay, far_host: DockerHost, engine: AnyEngine, template: ContainerTemplate, database_url: str
) -> None:
    limited = ContainerTemplate.objects.create(
        name="limited", docker_image="busybox:latest", command="sleep 300", timeout_seconds=5
    )
    with supervising.running("supervise", "--poll-interval", "0.3", database_url=database_url):
        wanted = {
            "cancelled": operations.submit(template, command="sleep 300"),
            "forced": operations.submit(template, command="sleep 300"),
            "timeout": operations.submit(limited),
            "completed": operations.submit(template, command="sleep 3"),
        }
        for job in wanted.values():
            wait_for_status(job, "running")
        relay.freeze()
        relay.cut()
        becomes(far_host, HostState.UNREACHABLE)
        wait_until(lambda: len(engine.api.containers()) == 3, 20, "one to end by itself")
        for name in ("cancelled", "completed"):
            operations.cancel(wanted[name].pk, who="test")
        operations.cancel(wanted["forced"].pk, who="test", force=True)
        stopping = Attempt.objects.filter(state="stopping")
        wait_until(lambda: stopping.count() == 4, 20, "all to be about to be stopped")
        assert set(ContainerJob.objects.values_list("status", flat=True)) == {"running"}
        assert len(engine.api.containers()) == 3
        relay.thaw()
        for name, job in wanted.items():
            wait_for_status(job, {"forced": "cancelled"}.get(name, name))
        assert not engine.api.containers()
    ends = JobEvent.objects.filter(kind="ended").values_list("job_id", flat=True)
    assert sorted(ends) == sorted(job.pk for job in wanted.values())

"""A host that was declared lost comes back, and what it had is still there."""

from __future__ import annotations

from typing import Any

import pytest

from hosts.models import DockerHost, HostState
from jobs import logs, operations
from jobs.declare_lost import declare_lost
from jobs.models import Attempt, ContainerJob, ContainerTemplate
from tests.supervisor.working import AnyEngine, names
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

# Says how many containers of it have started on the engine, and what it was told.
SCRIPT = 'echo one; trap "echo bye; exit 5" TERM; while :; do sleep 0.1; done'


def is_state(host: DockerHost, state: HostState) -> None:
    wait_until(DockerHost.objects.filter(pk=host.pk, state=state).exists, timeout_seconds=30, what=f"{state}")


def give_up_while_it_runs(relay: Relay, host: DockerHost, job: ContainerJob) -> None:
    wait_for_status(job, "running")
    wait_until(lambda: Attempt.objects.get().stdout_bytes, timeout_seconds=30, what="the first line")
    relay.freeze()
    relay.cut()
    is_state(host, HostState.UNREACHABLE)
    declare_lost(host.pk, who="ann")
    relay.thaw()


def test_its_containers_are_stopped_archived_and_removed_and_never_adopted(
    relay: Relay, far_host: DockerHost, engine: AnyEngine, template: ContainerTemplate, database_url: str
) -> None:
    job = operations.submit(template, command=f"sh -c '{SCRIPT}'")
    with supervising.running("supervise", database_url=database_url):
        give_up_while_it_runs(relay, far_host, job)
        wait_for_status(job, "failed")
        DockerHost.objects.update(is_active=True)
        archived = job.events.filter(kind="archived")
        wait_until(archived.exists, timeout_seconds=40, what="the archive")
        wait_until(lambda: not names(engine), timeout_seconds=20, what="the removal")

    attempt: Any = Attempt.objects.get()
    job.refresh_from_db()
    assert (job.status, attempt.outcome, attempt.failure_class) == ("failed", "lost", "declared_lost")
    assert (attempt.exit_code, attempt.logs_complete, attempt.logs_note) == (5, True, "")
    assert b"".join(logs.stream_bytes(attempt.id, 1)) == b"one\nbye\n"
    assert job.execution.stdout == "one\nbye\n"
    assert "exit code 5" in archived.get().message


def test_the_next_attempt_on_it_waits_for_the_archive(
    relay: Relay, far_host: DockerHost, engine: AnyEngine, template: ContainerTemplate, database_url: str
) -> None:
    ContainerTemplate.objects.update(max_attempts=2, retry_on=["lost"], stop_grace_seconds=5)
    job = operations.submit(template, command=f"sh -c '{SCRIPT}'", host=far_host)
    with supervising.running("supervise", database_url=database_url):
        give_up_while_it_runs(relay, far_host, job)
        DockerHost.objects.update(is_active=True)
        second = Attempt.objects.filter(number=2, state="running")
        wait_until(second.exists, timeout_seconds=60, what="the second attempt")
        first = Attempt.objects.get(number=1)
        assert (first.exit_code, first.logs_complete) == (5, True)
        assert b"".join(logs.stream_bytes(first.id, 1)) == b"one\nbye\n"
        operations.cancel(job.pk, who="ann", force=True)
        wait_for_status(job, "cancelled")

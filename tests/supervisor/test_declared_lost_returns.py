"""A host that was declared lost comes back, and what it had is still there."""

from __future__ import annotations

from typing import Any

import pytest

from hosts import installation
from hosts.models import DockerHost, HostState
from jobs import logs, operations
from jobs.declare_lost import declare_lost
from jobs.models import Attempt, ContainerJob, ContainerTemplate
from jobs.spec import container_name
from tests.jobs.attempts import make_attempt
from tests.supervisor.working import AnyEngine, names
from tests.support import supervising
from tests.support.relay import Relay
from tests.support.supervising import StartCounter, wait_for_status
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


def test_one_that_never_started_is_deleted_and_nothing_is_started_in_its_place(
    host: DockerHost, engine: AnyEngine, template: ContainerTemplate, database_url: str
) -> None:
    ours = installation.current().id
    job = operations.submit(template, command="true", host=host)
    job.refresh_from_db()
    attempt = make_attempt("created", job=job, host=host)
    Attempt.objects.update(container_name=container_name(ours, job.id))
    declare_lost(host.pk, who="ann")
    DockerHost.objects.update(is_active=True)
    labels = {"installation": ours, "host": host.pk, "job": job.pk, "attempt": 1}
    named = {f"tallyman.{key}": str(value) for key, value in labels.items()}
    engine.api.create_container("busybox:latest", "true", name=container_name(ours, job.id), labels=named)
    counter = StartCounter(engine)
    with supervising.running("supervise", "--poll-interval", "0.3", database_url=database_url):
        wait_until(job.events.filter(kind="archived").exists, timeout_seconds=20, what="the archive")
        wait_until(lambda: not names(engine), timeout_seconds=20, what="the removal")
        late = operations.submit(template, command="true", host=host)
        wait_for_status(late, "completed")
    counter.close()
    assert counter.starts == {(str(late.pk), "1"): 1}
    attempt.refresh_from_db()
    assert (attempt.outcome, attempt.exit_code, attempt.logs_complete) == ("lost", None, True)

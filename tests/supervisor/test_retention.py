"""Who deletes what is not kept, and when: the clerk of the eldest supervisor, and the command."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.db.models import F
from django.db.models.functions import Now

from hosts.identity import boot_clock
from hosts.models import DockerHost
from jobs.models import Attempt, ContainerJob, ContainerTemplate
from jobs.retention import Policy
from supervisor import processes
from supervisor.models import Role, SupervisorProcess
from supervisor.retention import Retention
from tests.jobs.attempts import end, make_attempt
from tests.jobs.chunks import out, store
from tests.supervisor.working import AnyEngine, names, shell, work
from tests.support import supervising
from tests.support.supervising import wait_for_status
from tests.support.waiting import wait_until

STAY = {"TALLYMAN_RETENTION_HOURS": "1"}


def master(age_seconds: float, beat_seconds: float = 0.0) -> uuid.UUID:
    row = SupervisorProcess.objects.create(
        supervisor=uuid.uuid4(),
        role=Role.MASTER,
        pid=1,
        start_ticks=1,
        machine="m",
        boot_id="b",
        started_at=Now() - timedelta(seconds=age_seconds),
        heartbeat_at=Now() - timedelta(seconds=beat_seconds),
    )
    return row.supervisor


def old_job(count: int = 1) -> None:
    for _ in range(count):
        attempt = make_attempt("exited")
        store(attempt, out("x"))
        end(attempt)
    Attempt.objects.update(container_gone_at=Now(), ended_at=F("ended_at") - timedelta(days=3))
    ContainerJob.objects.update(completed_at=F("completed_at") - timedelta(days=3))


@pytest.mark.django_db
def test_of_several_supervisors_the_eldest_that_lives_deletes():
    old_job()
    dead, eldest, younger = master(100, beat_seconds=60), master(50), master(10)
    for supervisor, left in ((dead, 1), (younger, 1), (eldest, 0)):
        Retention(supervisor, Policy(jobs_days=1)).turn(1.0)
        assert ContainerJob.objects.count() == left
    assert processes.is_eldest(eldest)


@pytest.mark.django_db
def test_a_turn_deletes_one_batch_and_leaves_time_for_others(monkeypatch):
    monkeypatch.setattr("jobs.retention.MAX_JOBS", 1)
    old_job(count=3)
    retention = Retention(master(1), Policy(jobs_days=1))
    now = boot_clock()
    for left in (2, 1, 0):
        retention.turn(now)
        assert ContainerJob.objects.count() == left
        assert now < retention.next_clock < now + 60
        retention.turn(now)
        assert ContainerJob.objects.count() == left, "not before its time"
        now = retention.next_clock
    retention.turn(now)
    assert retention.next_clock == now + 60


@pytest.mark.docker
@pytest.mark.process
@pytest.mark.django_db(transaction=True)
def test_the_supervisor_deletes_old_jobs_once_their_containers_are_gone(
    engine: AnyEngine, host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    kept, removed = shell(template, "echo kept"), shell(template, "echo removed")
    assert work("--once", database_url=database_url, **STAY)[0] == 0
    engine.api.remove_container(Attempt.objects.get(job=removed).container_name)
    Attempt.objects.update(ended_at=F("ended_at") - timedelta(minutes=5))
    ContainerJob.objects.update(completed_at=F("completed_at") - timedelta(minutes=5))
    # The first pass comes at once; it may be before the worker has looked at the engine.
    wanted = {**STAY, "TALLYMAN_KEEP_JOBS_DAYS": "0.0001"}
    with supervising.running("supervise", database_url=database_url, **wanted):
        wait_until(
            lambda: Attempt.objects.filter(container_gone_at=None).count() == 1, 20, "the one to be gone"
        )
        wait_for_status(kept, "completed")
    with supervising.running("supervise", database_url=database_url, **wanted) as command:
        wait_until(lambda: ContainerJob.objects.count() == 1, 20, "the job to be deleted")
        wait_until(lambda: "retention deleted" in command.log, 10, "the log to say so")
    assert ContainerJob.objects.get() == kept
    assert Attempt.objects.get(job=kept).container_name in names(engine)


@pytest.mark.docker
@pytest.mark.process
@pytest.mark.sqlite_only
@pytest.mark.django_db(transaction=True)
def test_cleanup_deletes_what_is_not_kept_and_says_what(
    engine: AnyEngine, host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    shell(template, "echo one")
    assert work("--once", database_url=database_url, **STAY)[0] == 0
    Attempt.objects.update(ended_at=F("ended_at") - timedelta(days=2))
    ContainerJob.objects.update(completed_at=F("completed_at") - timedelta(days=2))
    code, log = work("--cleanup", database_url=database_url, TALLYMAN_KEEP_JOBS_DAYS="1")
    assert (code, "docker: 1 containers removed, 0 left" in log) == (0, True)
    assert "deleted from the database: 1 jobs" in log
    assert not ContainerJob.objects.exists()
    DockerHost.objects.update(is_active=False)
    assert work("--cleanup", database_url=database_url)[1] == "deleted from the database: nothing\n"

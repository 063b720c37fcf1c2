"""Restarting a job: a new one with the same wishes, which waits until the old one is proved ended."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.contrib.auth import get_user_model

from hosts.models import DockerHost
from jobs import operations
from jobs.models import ContainerJob, JobEvent
from jobs.operations import Refused
from jobs.states import ENDED_STATUSES, AttemptState
from tests.jobs.attempts import claim, end, everything, make_attempt, take
from tests.support.factories import make_host, make_job

pytestmark = pytest.mark.django_db

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def host() -> DockerHost:
    return make_host()


def restart(job: ContainerJob) -> ContainerJob:
    new = operations.restart(job.pk, who="ann")
    job.refresh_from_db()
    return new


def hold(job: ContainerJob) -> str:
    return ContainerJob.objects.values_list("hold", flat=True).get(pk=job.pk)


def test_the_new_job_has_the_wishes_of_the_old_one(host):
    wishes = {
        "name": "nightly",
        "override_image": "app:2",
        "override_command": "true",
        "override_environment": {"A": "1"},
        "secret_environment": {"B": "s3cret"},
        "priority": 3,
        "override_max_attempts": 4,
        "override_retry_on": ["oom"],
        "override_start_deadline_seconds": 60,
    }
    assert wishes.keys() >= {
        field.name for field in ContainerJob._meta.fields if field.name.startswith("override_")
    }
    user = get_user_model().objects.create(username="ann")
    old = make_job(host=host, status="failed", exit_code=3, attempt_count=2, **wishes)
    new = ContainerJob.objects.get(pk=operations.restart(old.pk, who="ann", user=user).pk)
    assert {name: getattr(new, name) for name in wishes} == wishes
    assert (new.template, new.docker_host) == (old.template, host)
    assert (new.restarted_from, new.created_by) == (old, user)
    assert (new.status, new.exit_code, new.attempt_count) == ("pending", None, 0)
    event = JobEvent.objects.get(job=new)
    assert (event.kind, event.message, event.who) == ("submitted", f"restart of {old.pk}", "ann")


@pytest.mark.parametrize("status", ENDED_STATUSES)
def test_after_an_ended_job_it_goes_at_once(host, status):
    old = make_job(status=status)
    new = restart(old)
    assert (old.status, hold(new)) == (status, "")
    assert [attempt.job for attempt in claim(take(host), host)] == [new]


def test_a_pending_job_is_cancelled_at_once_and_the_new_one_goes(host):
    old = make_job()
    new = restart(old)
    assert (old.status, hold(new)) == ("cancelled", "")


@pytest.mark.parametrize("state", [AttemptState.CLAIMED, AttemptState.RUNNING, AttemptState.EXITED])
def test_an_open_job_is_cancelled_and_waited_for(host, state):
    attempt = make_attempt(state, host=host)
    new = restart(attempt.job)
    assert attempt.job.cancel_requested_at
    lease = take(host)
    assert claim(lease, host) == []
    attempt.refresh_from_db()
    end(attempt, "cancelled", job_status="cancelled")
    assert [attempt.job for attempt in claim(lease, host)] == [new]


def test_nobody_starts_it_before_the_old_one_has_ended():
    attempt = make_attempt(AttemptState.RUNNING)
    new = restart(attempt.job)
    before = everything()
    with pytest.raises(Refused, match="to end"):
        operations.start(new.pk, who="ann")
    assert everything() == before
    end(attempt, "cancelled", job_status="cancelled")
    operations.start(new.pk, who="ann")


def test_who_stops_it_meanwhile_has_it_held_when_the_old_one_ends():
    attempt = make_attempt(AttemptState.RUNNING)
    new = restart(attempt.job)
    operations.stop(new.pk, who="ann")
    end(attempt, "cancelled", job_status="cancelled")
    assert hold(new) == "stopped"


def test_a_restart_of_one_that_still_waits_waits_for_the_same_job():
    attempt = make_attempt(AttemptState.RUNNING)
    second = restart(attempt.job)
    third = restart(second)
    assert (second.status, hold(third)) == ("cancelled", "restart")
    end(attempt, "cancelled", job_status="cancelled")
    assert hold(third) == ""


def test_cancelling_a_job_that_somebody_waits_for_lets_that_one_go():
    old = make_job()
    new = make_job(restarted_from=old, hold="restart")
    operations.cancel(old.pk, who="ann")
    assert hold(new) == ""


def test_a_restart_can_be_restarted_once_it_runs(host):
    first = make_job(status="failed")
    second = restart(first)
    claim(take(host), host)
    third = restart(ContainerJob.objects.get(pk=second.pk))
    assert hold(third) == "restart"


@pytest.mark.parametrize("what", ["template", "docker_host"])
def test_what_is_out_of_use_is_refused(host, what):
    old = make_job(host=host)
    type(getattr(old, what)).objects.update(archived_at=LONG_AGO)
    before = everything()
    with pytest.raises(Refused, match="cannot run again"):
        restart(old)
    assert everything() == before

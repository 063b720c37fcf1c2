"""Jobs that waited too long for their first start."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from jobs import moves, operations, start_deadline
from jobs.models import ContainerJob, JobEvent
from jobs.states import AttemptState
from tests.jobs.attempts import make_attempt, row
from tests.support.factories import make_job, make_template

pytestmark = pytest.mark.django_db


def waiting_since(seconds: float, **fields) -> ContainerJob:
    """A pending job that has waited for so long."""
    job = make_job(**fields)
    ContainerJob.objects.filter(pk=job.pk).update(waiting_since_at=Now() - timedelta(seconds=seconds))
    return job


def status(job: ContainerJob) -> str:
    return ContainerJob.objects.get(pk=job.pk).status


def test_a_job_over_its_templates_deadline_fails_and_says_so():
    job = waiting_since(61, template=make_template(start_deadline_seconds=60))

    assert start_deadline.expire() == 1

    job.refresh_from_db()
    assert (job.status, job.failure_class) == ("failed", "start_deadline")
    assert "60 s" in job.failure_message
    assert job.completed_at is not None
    assert JobEvent.objects.filter(job=job, kind="ended", message=job.failure_message).count() == 1
    assert start_deadline.expire() == 0


@pytest.mark.parametrize(("override", "fails"), [(10, True), (600, False), (None, False)])
def test_the_jobs_own_deadline_goes_before_its_templates(override, fails):
    template = make_template(start_deadline_seconds=300)
    job = waiting_since(60, template=template, override_start_deadline_seconds=override)

    assert start_deadline.expire() == fails
    assert status(job) == ("failed" if fails else "pending")


def test_a_job_without_a_deadline_waits_for_ever():
    job = waiting_since(1e8)
    waiting_since(1e8, template=make_template(name="limited", start_deadline_seconds=60))

    assert start_deadline.expire() == 1
    assert status(job) == "pending"


@pytest.mark.parametrize("hold", ["stopped", "restart"])
def test_the_clock_stands_still_while_the_job_is_held_and_starts_anew_after(hold):
    job = waiting_since(61, override_start_deadline_seconds=60, hold=hold)
    assert start_deadline.expire() == 0

    operations.start(job.pk, who="ann")

    assert start_deadline.expire() == 0
    assert status(job) == "pending"


def test_a_job_that_has_started_once_is_not_under_it_any_more():
    attempt = make_attempt(AttemptState.CREATED, job=waiting_since(61, override_start_deadline_seconds=60))
    assert moves.to_running([row(attempt)]) == {attempt.id}
    ContainerJob.objects.update(status="pending")

    assert start_deadline.expire() == 0


def test_what_waits_for_a_job_that_expires_may_start():
    old = waiting_since(61, override_start_deadline_seconds=60)
    new = make_job(restarted_from=old, hold="restart")

    start_deadline.expire()

    new.refresh_from_db()
    assert new.hold == ""


def test_a_person_who_retries_gives_it_its_whole_time_again():
    job = waiting_since(61, override_start_deadline_seconds=60)
    start_deadline.expire()

    operations.retry(job.pk, who="ann")

    assert start_deadline.expire() == 0
    assert status(job) == "pending"

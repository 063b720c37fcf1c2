"""What a job is said to accept is what its operations accept."""

from __future__ import annotations

import pytest
from django.utils import timezone

from jobs import operations
from jobs.models import ContainerJob
from jobs.models.job import Hold
from jobs.operations import Refused
from jobs.states import ENDED_STATUSES, AttemptState, JobStatus, Outcome
from jobs.verbs import accepted
from tests.jobs.attempts import make_attempt
from tests.support.factories import make_host, make_job, make_template

pytestmark = pytest.mark.django_db

OPERATIONS = {
    "start": operations.start,
    "stop": operations.stop,
    "cancel": operations.cancel,
    "restart": operations.restart,
    "retry": operations.retry,
}


def pending() -> ContainerJob:
    return make_job()


def held() -> ContainerJob:
    return make_job(hold=Hold.STOPPED)


def waits_for_another() -> ContainerJob:
    return make_job(hold=Hold.RESTART, restarted_from=make_attempt(AttemptState.RUNNING).job)


def restarts_an_ended_one() -> ContainerJob:
    return make_job(restarted_from=make_job(status=JobStatus.FAILED))


def starting() -> ContainerJob:
    return make_attempt(AttemptState.PULLING).job


def running() -> ContainerJob:
    return make_attempt(AttemptState.RUNNING).job


def running_where_nothing_can_be_stopped() -> ContainerJob:
    host = make_host("batch", executor_type="launchonly")
    return make_attempt(AttemptState.RUNNING, host=host).job


def completed() -> ContainerJob:
    return make_job(status=JobStatus.COMPLETED)


def failed() -> ContainerJob:
    return make_attempt(AttemptState.ENDED, outcome=Outcome.USER, job=make_job(status=JobStatus.FAILED)).job


def failed_of_an_archived_template() -> ContainerJob:
    template = make_template("old", archived_at=timezone.now())
    return make_job(template, status=JobStatus.FAILED)


def failed_of_a_removed_host() -> ContainerJob:
    return make_job(host=make_host("gone", archived_at=timezone.now()), status=JobStatus.FAILED)


KINDS = (
    *(pending, held, waits_for_another, restarts_an_ended_one, starting, running),
    *(running_where_nothing_can_be_stopped, completed, failed),
    *(failed_of_an_archived_template, failed_of_a_removed_host),
)


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("verb", [*OPERATIONS, "delete"])
def test_what_is_offered_is_what_is_accepted(make, verb, settings):
    settings.TALLYMAN_EXECUTORS = {"launchonly": "tests.support.own_executors.MyCustomExecutor"}
    job = make()
    attempt = job.attempts.select_related("host").order_by("-number").first()
    offered = verb in accepted(job, attempt)
    try:
        operations.delete(job.pk) if verb == "delete" else OPERATIONS[verb](job.pk, who="me")
        done = True
    except Refused:
        done = False
    assert offered == done


def test_every_status_is_decided_on():
    for status in JobStatus:
        verbs = accepted(make_job(status=status), None)
        assert ("delete" in verbs) == (status in ENDED_STATUSES)

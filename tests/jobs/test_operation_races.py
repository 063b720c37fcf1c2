"""What people ask for at the very moment something else happens to the job."""

from __future__ import annotations

import threading

import pytest
from django.db import transaction

from jobs import operations
from jobs.models import Attempt, ContainerJob
from jobs.states import AttemptState, Outcome
from tests.jobs.attempts import end, make_attempt
from tests.support.factories import make_job
from tests.support.racing import PATIENCE_SECONDS, in_background, race, wait_until_blocked

pytestmark = [pytest.mark.postgres_only, pytest.mark.django_db(transaction=True)]


def end_to_run_again(attempt: Attempt) -> None:
    end(attempt, Outcome.USER, job_status="pending", retry_delay_seconds=0.0)


def test_a_cancel_while_the_attempt_ends_keeps_the_job_from_running_again():
    attempt = make_attempt(AttemptState.EXITED)
    ended = threading.Event()

    def cancel() -> None:
        ended.wait(PATIENCE_SECONDS)
        operations.cancel(attempt.job_id, who="ann")

    with in_background(cancel), transaction.atomic():
        end_to_run_again(attempt)
        ended.set()
        wait_until_blocked()
    assert ContainerJob.objects.get().status == "cancelled"


def test_an_end_while_the_job_is_being_cancelled_sees_the_cancel():
    attempt = make_attempt(AttemptState.EXITED)
    cancelled = threading.Event()

    def end_late() -> None:
        cancelled.wait(PATIENCE_SECONDS)
        end_to_run_again(attempt)

    with in_background(end_late), transaction.atomic():
        operations.cancel(attempt.job_id, who="ann")
        cancelled.set()
        wait_until_blocked()
    assert ContainerJob.objects.get().status == "cancelled"


@pytest.mark.parametrize("finish", [end, end_to_run_again])
def test_a_restart_while_the_old_job_ends_does_not_wait_for_ever(finish):
    attempt = make_attempt(AttemptState.EXITED)
    restarted = threading.Event()

    def end_late() -> None:
        restarted.wait(PATIENCE_SECONDS)
        finish(attempt)

    with in_background(end_late), transaction.atomic():
        new = operations.restart(attempt.job_id, who="ann")
        restarted.set()
        wait_until_blocked()
    new.refresh_from_db()
    attempt.job.refresh_from_db()
    assert (attempt.job.status, new.hold) == ("completed" if finish is end else "cancelled", "")


@pytest.mark.parametrize("finish", [end, end_to_run_again])
def test_a_restart_of_a_job_that_is_just_ending_does_not_wait_for_ever(finish):
    attempt = make_attempt(AttemptState.EXITED)
    ended = threading.Event()

    def restart() -> ContainerJob:
        ended.wait(PATIENCE_SECONDS)
        return operations.restart(attempt.job_id, who="ann")

    with in_background(restart) as restarting, transaction.atomic():
        finish(attempt)
        ended.set()
        wait_until_blocked()
    attempt.job.refresh_from_db()
    new = ContainerJob.objects.get(pk=restarting.result().pk)
    assert (attempt.job.status, new.hold) == ("completed" if finish is end else "cancelled", "")


def test_two_restarts_at_once_do_not_block_each_other_for_ever():
    job = make_job()
    new = race(2, lambda _: operations.restart(job.id, who="ann"))
    assert len({one.pk for one in new}) == 2
    assert set(ContainerJob.objects.exclude(pk=job.pk).values_list("hold", flat=True)) == {""}


def test_of_a_delete_and_a_retry_one_is_refused():
    for _ in range(5):
        job = make_job(status="failed")
        asks = [lambda job=job: operations.delete(job.id), lambda job=job: operations.retry(job.id, who="a")]

        def ask(number: int, asks=asks) -> bool:
            try:
                asks[number]()
            except operations.Refused:
                return False
            return True

        assert sorted(race(2, ask)) == [False, True]
        assert ContainerJob.objects.filter(pk=job.pk).exclude(status="pending").count() == 0

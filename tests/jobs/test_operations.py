"""What people may ask of a job, in every status it may be in. Restarts have a file of their own."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pytest
from django.core.exceptions import ValidationError

from jobs import operations
from jobs.models import ContainerExecution, ContainerJob, JobEvent, LogChunk
from jobs.operations import Refused
from jobs.states import ENDED_STATUSES, OPEN_STATUSES, AttemptState, JobStatus, Outcome
from tests.jobs.attempts import end, everything, make_attempt
from tests.jobs.chunks import out, store
from tests.support.factories import make_host, make_job, make_template

pytestmark = pytest.mark.django_db

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
NOT_PENDING = [status for status in JobStatus if status != JobStatus.PENDING]
NOT_RETRYABLE = [JobStatus.PENDING, *OPEN_STATUSES, JobStatus.COMPLETED]


def kinds(job: ContainerJob) -> list[str]:
    return list(JobEvent.objects.filter(job=job).values_list("kind", flat=True))


def refused(verb, job: ContainerJob) -> str:
    """The text of the refusal, which changed nothing."""
    before = everything()
    with pytest.raises(Refused) as caught:
        verb(job)
    assert everything() == before
    return str(caught.value)


def start(job: ContainerJob) -> None:
    operations.start(job.pk, who="ann")


def stop(job: ContainerJob) -> None:
    operations.stop(job.pk, who="ann")


def cancel(job: ContainerJob) -> None:
    operations.cancel(job.pk, who="ann")


def retry(job: ContainerJob) -> None:
    operations.retry(job.pk, who="ann")


def delete(job: ContainerJob) -> None:
    operations.delete(job.pk)


def restart(job: ContainerJob) -> None:
    operations.restart(job.pk, who="ann")


@pytest.mark.parametrize("verb", [start, stop, cancel, retry, delete, restart])
def test_a_job_that_is_not_there_is_refused(verb):
    missing = ContainerJob(pk=uuid.uuid4())
    assert refused(verb, missing) == f"There is no job {missing.pk}."


class TestSubmit:
    def test_a_submitted_job_is_pending_and_on_record(self):
        job = operations.submit(make_template(), name="nightly", command="true", priority=3, who="ann")
        stored = ContainerJob.objects.get()
        assert (stored.pk, stored.status, stored.hold, stored.priority) == (job.pk, "pending", "", 3)
        assert (stored.name, stored.override_command) == ("nightly", "true")
        assert [(event.kind, event.who) for event in JobEvent.objects.all()] == [("submitted", "ann")]

    def test_whatever_is_set_is_stored(self):
        host, plain, secret = make_host(), {"A": 1}, {"B": "s3cret"}
        operations.submit(
            make_template(),
            host=host,
            image="app:2",
            environment=plain,
            secret_environment=secret,
            max_attempts=3,
            retry_on=("user", "oom"),
            start_deadline_seconds=60,
        )
        job = ContainerJob.objects.get()
        assert (job.docker_host, job.override_image) == (host, "app:2")
        assert (job.override_environment, job.secret_environment) == (plain, secret)
        assert (job.override_max_attempts, job.override_retry_on) == (3, ["user", "oom"])
        assert job.override_start_deadline_seconds == 60

    def test_what_is_not_set_is_the_templates(self):
        job = operations.submit(make_template(max_attempts=7))
        assert (job.override_max_attempts, job.override_retry_on) == (None, None)
        assert job.override_start_deadline_seconds is None
        assert operations.submit(job.template, retry_on=[]).override_retry_on == []

    @pytest.mark.parametrize(
        "wrong",
        [
            {"command": "echo 'unclosed"},
            {"image": "a\x00b"},
            {"name": "a\x00b"},
            {"name": "\udc80"},
            {"name": "x" * 201},
            {"environment": {"A B": "x"}},
            {"max_attempts": 0},
            {"max_attempts": 101},
            {"retry_on": ["rejected"]},
            {"retry_on": "user"},
            {"start_deadline_seconds": 0},
            {"environment": {"TALLYMAN_JOB_ID": "x"}},
            {"environment": {"A": None}},
            {"secret_environment": {"A B": "x"}},
            {"secret_environment": {"A": ["s3cret"]}},
        ],
        ids=repr,
    )
    def test_what_could_not_run_is_explained_and_not_stored(self, wrong):
        with pytest.raises(ValidationError) as caught:
            operations.submit(make_template(), **wrong)
        assert "s3cret" not in str(caught.value)
        assert not ContainerJob.objects.exists()
        assert not JobEvent.objects.exists()

    def test_what_is_out_of_use_is_refused(self):
        with pytest.raises(ValidationError, match="archived"):
            operations.submit(make_template("old", archived_at=LONG_AGO))
        with pytest.raises(ValidationError, match="removed"):
            operations.submit(make_template(), host=make_host(archived_at=LONG_AGO))


class TestStart:
    @pytest.mark.parametrize("hold", ["", "stopped"])
    def test_a_pending_job_goes_at_once(self, hold):
        job = make_job(hold=hold, not_before_at=LONG_AGO)
        start(job)
        job.refresh_from_db()
        assert (job.status, job.hold, job.not_before_at) == ("pending", "", None)
        assert kinds(job) == ["start requested"]

    @pytest.mark.parametrize("status", NOT_PENDING)
    def test_any_other_is_refused(self, status):
        assert "use retry or restart" in refused(start, make_job(status=status))


class TestStop:
    def test_a_pending_job_is_held(self):
        job = make_job()
        stop(job)
        job.refresh_from_db()
        assert (job.status, job.hold) == ("pending", "stopped")
        assert kinds(job) == ["held"]

    @pytest.mark.parametrize("status", OPEN_STATUSES)
    def test_an_open_job_is_cancelled(self, status):
        job = make_job(status=status)
        stop(job)
        job.refresh_from_db()
        assert (job.status, job.cancelled_by) == (status, "ann")
        assert job.cancel_requested_at
        assert not job.cancel_force

    @pytest.mark.parametrize("status", ENDED_STATUSES)
    def test_an_ended_job_is_refused(self, status):
        assert f"is {status}" in refused(stop, make_job(status=status))


class TestCancel:
    @pytest.mark.parametrize("hold", ["", "stopped", "restart"])
    def test_a_pending_job_ends_at_once(self, hold):
        job = make_job(hold=hold, pending_reason="Waits")
        cancel(job)
        job.refresh_from_db()
        assert (job.status, job.cancelled_by, job.pending_reason) == ("cancelled", "ann", "")
        assert job.completed_at
        assert job.failure_message == "It was cancelled before it started."
        assert kinds(job) == ["cancelled"]

    def test_a_job_that_waits_for_another_attempt_is_not_said_never_to_have_started(self):
        attempt = make_attempt(AttemptState.EXITED, started_at=datetime.now(UTC))
        retried = {"job_status": "pending", "retry_delay_seconds": 60.0}
        assert end(attempt, Outcome.USER, failure_message="Exit code 3.", failure_hint="Its log.", **retried)
        cancel(attempt.job)
        attempt.job.refresh_from_db()
        assert attempt.job.failure_message == "It was cancelled before it ran again."
        assert attempt.job.failure_hint == ""

    @pytest.mark.parametrize("status", OPEN_STATUSES)
    @pytest.mark.parametrize("force", [False, True])
    def test_of_an_open_job_it_is_noted_and_its_worker_does_the_rest(self, status, force):
        job = make_job(status=status)
        operations.cancel(job.pk, who="ann", force=force)
        job.refresh_from_db()
        assert (job.status, job.completed_at) == (status, None)
        assert (job.cancelled_by, job.cancel_force) == ("ann", force)
        assert JobEvent.objects.get().message == ("without grace" if force else "")

    def test_force_hurries_an_earlier_cancel_and_is_not_taken_back(self):
        job = make_job(status="running")
        seen = []
        for force in (False, True, False):
            operations.cancel(job.pk, who="ann", force=force)
            job.refresh_from_db()
            seen.append((job.cancel_force, job.cancel_requested_at))
        assert [force for force, _ in seen] == [False, True, True]
        assert len({at for _, at in seen}) == 1  # the first request is the one that counts

    @pytest.mark.parametrize("status", ENDED_STATUSES)
    def test_an_ended_job_is_refused(self, status):
        assert "ended already" in refused(cancel, make_job(status=status))


class TestRetry:
    @pytest.mark.parametrize("status", ["failed", "timeout", "cancelled"])
    def test_a_job_that_did_not_complete_gets_one_more_attempt(self, status):
        attempt = make_attempt(AttemptState.EXITED)
        cancelled = {"cancel_requested_at": LONG_AGO, "cancel_force": True, "cancelled_by": "bob"}
        end(attempt, "user", job_status=status, exit_code=3, failure_class="x", infra_failures=2)
        ContainerJob.objects.update(**cancelled, hold="stopped", not_before_at=LONG_AGO)
        retry(attempt.job)
        fresh, job = make_job(), ContainerJob.objects.get(pk=attempt.job_id)
        kept = {"id", "created_at", "attempt_count", "waiting_since_at"}
        names = {field.attname for field in ContainerJob._meta.concrete_fields} - kept
        fresh.refresh_from_db()
        assert {name: getattr(job, name) for name in names} == {name: getattr(fresh, name) for name in names}
        assert job.attempt_count == 1

    @pytest.mark.parametrize("status", NOT_RETRYABLE)
    def test_any_other_is_refused(self, status):
        assert "ended without completing" in refused(retry, make_job(status=status))

    @pytest.mark.parametrize("what", ["template", "docker_host"])
    def test_what_is_out_of_use_is_refused(self, what):
        job = make_job(host=make_host(), status="failed")
        type(getattr(job, what)).objects.update(archived_at=LONG_AGO)
        assert "cannot run again" in refused(retry, job)


class TestDelete:
    @pytest.mark.parametrize("status", ENDED_STATUSES)
    def test_an_ended_job_goes_with_its_logs_and_history(self, status):
        attempt = make_attempt(AttemptState.RUNNING)
        store(attempt, out("x\n"))
        end(attempt, job_status=status)
        delete(attempt.job)
        assert not any(
            model.objects.exists() for model in (ContainerJob, ContainerExecution, LogChunk, JobEvent)
        )

    @pytest.mark.parametrize("status", ["pending", *OPEN_STATUSES])
    def test_any_other_is_refused(self, status):
        assert "cancel it first" in refused(delete, make_job(status=status))

"""The end of an attempt: job, execution and tally in the same write."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db.models.functions import Now

from jobs import moves
from jobs.models import Attempt, ContainerExecution, ContainerJob, JobEvent, Tally
from jobs.models.job import Hold
from jobs.states import OPEN_STATES, AttemptState, Outcome, status_after
from tests.jobs.attempts import end, end_row, everything, make_attempt
from tests.support.factories import make_host, make_job, make_template

pytestmark = pytest.mark.django_db

WHY = {"failure_class": "exit_code", "failure_message": "It ended with 3.", "failure_hint": "Look."}


def again(attempt: Attempt, delay: float = 8.0, **fields) -> bool:
    """An end after which another attempt is due."""
    return end(attempt, Outcome.USER, job_status="pending", retry_delay_seconds=delay, **{**WHY, **fields})


def the_job() -> ContainerJob:
    return ContainerJob.objects.annotate(now=Now()).get()


@pytest.mark.parametrize("state", OPEN_STATES)
def test_an_attempt_may_end_from_any_open_state(state):
    attempt = make_attempt(state, unknown_since_at=datetime.now(UTC))
    assert end(attempt, Outcome.CANCELLED, job_status="cancelled")
    seen = Attempt.objects.annotate(now=Now()).get()
    assert (seen.state, seen.outcome, seen.unknown_since_at) == ("ended", "cancelled", None)
    assert abs(seen.now - seen.ended_at) < timedelta(seconds=5)


@pytest.mark.parametrize("outcome", Outcome)
def test_the_job_ends_with_the_outcomes_word_and_reason(outcome):
    attempt = make_attempt(AttemptState.EXITED)
    end(attempt, outcome, job_status=status_after(outcome), exit_code=3, **WHY)
    job = the_job()
    assert job.status == status_after(outcome)
    assert job.exit_code == 3
    assert {name: getattr(job, name) for name in WHY} == WHY
    assert abs(job.now - job.completed_at) < timedelta(seconds=5)
    assert job.not_before_at is None


def test_an_attempt_ends_once():
    attempt = make_attempt(AttemptState.EXITED)
    assert end(attempt)
    before = everything()
    assert not end(attempt, Outcome.USER, job_status="failed")
    assert everything() == before


def test_the_log_is_complete_or_it_says_why_not():
    end(make_attempt(AttemptState.EXITED), logs_complete=False, logs_note="The container was gone.")
    seen = Attempt.objects.get()
    assert (seen.logs_complete, seen.logs_note) == (False, "The container was gone.")


def test_the_end_is_one_line_of_the_timeline():
    end(make_attempt(AttemptState.EXITED), message="succeeded")
    event = JobEvent.objects.get()
    assert (event.kind, event.attempt_number, event.message) == ("ended", 1, "succeeded")


def test_a_job_that_is_to_run_again_waits_for_its_time():
    again(make_attempt(AttemptState.EXITED), 8.25, infra_failures=2)
    job = the_job()
    assert (job.status, job.completed_at, job.infra_failure_count) == ("pending", None, 2)
    assert abs(job.not_before_at - job.now - timedelta(seconds=8.25)) < timedelta(seconds=5)
    assert job.failure_class == "exit_code"  # a page can say why it waits


def test_a_cancel_that_came_while_it_ended_by_itself_keeps_it_from_running_again():
    attempt = make_attempt(AttemptState.EXITED)
    ContainerJob.objects.update(cancel_requested_at=Now())
    again(attempt)
    job = the_job()
    assert (job.status, job.not_before_at) == ("cancelled", None)
    assert job.completed_at is not None


@pytest.mark.parametrize("outcome", [Outcome.SUCCEEDED, Outcome.USER])
def test_a_cancel_that_came_too_late_does_not_change_how_it_ended(outcome):
    attempt = make_attempt(AttemptState.EXITED)
    ContainerJob.objects.update(cancel_requested_at=Now())
    end(attempt, outcome, job_status=status_after(outcome))
    assert the_job().status == status_after(outcome)


def test_an_execution_holds_what_was_said_and_used():
    said = {"stdout": "out ü\n", "stderr": "err\n", "docker_log": "create c1\nstart"}
    sizes = {"stdout_bytes": 5_000_000_000, "stderr_bytes": 4}
    used = {"peak_memory_bytes": 9_000_000_000, "cpu_seconds": 1.5, "peak_pids": 3}
    end(make_attempt(AttemptState.EXITED), **said, **sizes, **used)
    row = ContainerExecution.objects.values().get()
    assert {name: row[name] for name in (*said, *sizes, *used)} == {**said, **sizes, **used}
    assert row["attempt_number"] == 1
    assert row["average_memory_bytes"] is row["network_rx_bytes"] is None


def test_the_next_attempts_execution_replaces_the_one_before():
    first = make_attempt(AttemptState.EXITED)
    again(first, stdout="first", stderr="only the first", peak_pids=9)
    second = make_attempt(AttemptState.EXITED, job=first.job)
    end(second, stdout="second")
    row = ContainerExecution.objects.get()
    assert (row.attempt_number, row.stdout, row.stderr, row.peak_pids) == (2, "second", "", None)


@pytest.mark.parametrize("job_status", ["completed", "failed", "cancelled"])
def test_a_job_that_waited_for_this_one_may_go(job_status):
    attempt = make_attempt(AttemptState.EXITED)
    waiting = make_job(restarted_from=attempt.job, hold=Hold.RESTART)
    held = make_job(restarted_from=attempt.job, hold=Hold.STOPPED)
    other = make_job(restarted_from=held, hold=Hold.RESTART)
    end(attempt, job_status=job_status)
    for job, hold in ((waiting, ""), (held, "stopped"), (other, "restart")):
        job.refresh_from_db()
        assert job.hold == hold


def counted() -> list[dict]:
    return list(Tally.objects.order_by("outcome", "template_name").values())


def test_an_end_counts_in_its_minute():
    attempt = make_attempt(AttemptState.EXITED, job=make_job(make_template("nightly")), host=make_host("h1"))
    end(attempt, run_seconds=2.5, stdout_bytes=100, stderr_bytes=11)
    (tally,) = counted()
    assert (tally["host_name"], tally["template_name"], tally["outcome"]) == ("h1", "nightly", "succeeded")
    assert (tally["count"], tally["seconds"], tally["log_bytes"]) == (1, 2.5, 111)
    ended_at = Attempt.objects.get().ended_at
    assert tally["minute"].second == tally["minute"].microsecond == 0
    assert abs(ended_at - tally["minute"]) < timedelta(seconds=65)


@pytest.mark.parametrize(
    ("seconds", "column"),
    [
        (0.0, "within_1s"),
        (0.999, "within_1s"),
        (1.0, "within_10s"),
        (9.99, "within_10s"),
        (10.0, "within_1m"),
        (60.0, "within_10m"),
        (600.0, "within_1h"),
        (3599.9, "within_1h"),
        (3600.0, "beyond_1h"),
        (9e6, "beyond_1h"),
    ],
)
def test_a_run_time_counts_in_one_column(seconds, column):
    end(make_attempt(AttemptState.EXITED), run_seconds=seconds)
    (tally,) = counted()
    steps = {name: value for name, value in tally.items() if name.startswith(("within_", "beyond_"))}
    assert steps == {**dict.fromkeys(steps, 0), column: 1}


def test_ends_of_one_minute_add_up_in_one_call_and_over_several():
    rows = [
        end_row(make_attempt(AttemptState.EXITED, job=make_job()), outcome, run_seconds=seconds)
        for outcome, seconds in ((Outcome.SUCCEEDED, 0.5), (Outcome.SUCCEEDED, 30.0), (Outcome.OOM, 2.0))
    ]
    moves.end(rows)
    end(make_attempt(AttemptState.EXITED, job=make_job()), run_seconds=4.0)
    seen: dict[str, list[float]] = {}
    for tally in counted():
        totals = seen.setdefault(tally["outcome"], [0, 0, 0, 0])
        for place, name in enumerate(("count", "within_1s", "within_10s", "within_1m")):
            totals[place] += tally[name]
    assert seen == {"oom": [1, 0, 1, 0], "succeeded": [3, 1, 1, 1]}


def test_what_did_not_hold_is_not_counted():
    attempt = make_attempt(AttemptState.EXITED)
    attempt.epoch += 1
    end(attempt)
    assert counted() == []
    assert not ContainerExecution.objects.exists()


MOMENT = datetime(2026, 1, 1, 12, tzinfo=UTC)
EXIT = {
    "exit_code": 3,
    "oom_killed": True,
    "started_at": MOMENT,
    "finished_at": MOMENT + timedelta(seconds=1),
    "image_digest": "sha256:1",
    "executor_metadata": {"ip": "10.0.0.1"},
    "exit_message": "exit code 3",
}


def finish(attempt: Attempt, **fields) -> bool:
    row = end_row(attempt, Outcome.USER, **{"job_status": "failed", "message": "user", **EXIT, **fields})
    return attempt.id in moves.finish([row])


def test_a_short_life_is_told_whole_in_one_write():
    attempt = make_attempt(AttemptState.CREATED)
    assert finish(attempt)
    attempt.refresh_from_db()
    told = {name: getattr(attempt, name) for name in EXIT if hasattr(attempt, name)}
    assert told == {name: EXIT[name] for name in told}
    assert (attempt.state, attempt.outcome) == ("ended", "user")
    job = the_job()
    assert (job.status, job.exit_code, job.started_at, job.executor_metadata) == (
        "failed",
        3,
        MOMENT,
        EXIT["executor_metadata"],
    )
    assert (job.waiting_since_at, ContainerExecution.objects.count(), Tally.objects.get().count) == (
        None,
        1,
        1,
    )
    events = JobEvent.objects.order_by("pk").values_list("kind", "message")
    assert list(events) == [("running", ""), ("exited", "exit code 3"), ("ended", "user")]


def test_a_short_life_that_is_not_ours_any_more_is_not_told():
    attempt = make_attempt(AttemptState.CREATED)
    before = everything()
    assert not finish(attempt, epoch=attempt.epoch + 1)
    assert everything() == before


def test_many_short_lives_are_told_in_the_order_of_their_steps():
    host, template = make_host(), make_template()
    attempts = [
        make_attempt(AttemptState.CREATED, job=make_job(template=template), host=host) for _ in range(3)
    ]
    rows = [
        end_row(attempt, Outcome.USER, **{"job_status": "failed", "message": "user", **EXIT})
        for attempt in attempts
    ]
    assert moves.finish(rows) == {attempt.id for attempt in attempts}
    for attempt in attempts:
        kinds = JobEvent.objects.filter(job=attempt.job).order_by("pk").values_list("kind", flat=True)
        assert list(kinds) == ["running", "exited", "ended"]


def test_after_a_short_life_a_retry_and_a_restart_that_waits_may_come():
    host = make_host()
    attempt = make_attempt(AttemptState.CREATED, job=make_job(host=host), host=host)
    waiting = make_job(host=host, hold=Hold.RESTART, restarted_from=attempt.job)
    assert finish(attempt)
    waiting.refresh_from_db()
    assert waiting.hold == Hold.NONE

"""The commands that wait for a job: what they print meanwhile, and what they exit with."""

from __future__ import annotations

import pytest

from admin_ui.cli import follow
from jobs.models import Attempt, ContainerJob
from jobs.states import AttemptState, JobStatus, Outcome
from tests.admin_ui.commands import jobs, make_supervisor
from tests.admin_ui.rows import store_log
from tests.jobs.attempts import end, make_attempt
from tests.support.factories import make_template

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def supervised():
    """A template, and somebody who could run it."""
    make_template("hello")
    return make_supervisor()


def start() -> None:
    make_attempt(AttemptState.RUNNING, job=ContainerJob.objects.get())
    ContainerJob.objects.update(started_at="2025-01-01T00:00:00Z")


def newest_attempt() -> Attempt:
    return Attempt.objects.order_by("-number")[0]


def write(*payloads: tuple[int, bytes]):
    return lambda: store_log(newest_attempt(), *payloads)


def finish(outcome: Outcome = Outcome.SUCCEEDED, status: str = "completed", code: int | None = 0, **fields):
    def step() -> None:
        assert end(newest_attempt(), outcome, job_status=status, exit_code=code, **fields)

    return step


def finish_failing(status: str, outcome: Outcome, code: int | None, failure_class: str):
    return finish(outcome, status, code, failure_class=failure_class, failure_message="Because.")


# --- run ---


def test_run_prints_the_bytes_of_both_streams_and_exits_with_the_code(meanwhile):
    meanwhile.do(
        start,
        write((1, b"one\n"), (2, b"oops\n")),
        write((1, b"\xfftwo\n")),
        finish_failing("failed", Outcome.USER, 3, "exit_code"),
    )
    result = jobs("run", "hello")
    assert result.code == 3
    assert result.stdout == b"one\n\xfftwo\n"
    assert result.stderr == "oops\n"


def test_the_log_that_comes_with_the_end_is_printed_too(meanwhile):
    def last_words_and_end() -> None:
        write((1, b"bye"))()
        finish()()

    meanwhile.do(start, last_words_and_end)
    result = jobs("run", "hello")
    assert (result.code, result.stdout) == (0, b"bye")


@pytest.mark.parametrize(
    ("status", "outcome", "code", "failure_class", "expected"),
    [
        ("timeout", Outcome.TIMEOUT, 143, "timeout", 124),
        ("cancelled", Outcome.CANCELLED, 143, "cancelled", 130),
        ("failed", Outcome.OOM, 137, "oom", 137),
        ("failed", Outcome.LOST, None, "lost", 1),
    ],
)
def test_run_exits_as_the_job_ended(meanwhile, status, outcome, code, failure_class, expected):
    meanwhile.do(start, finish_failing(status, outcome, code, failure_class))
    result = jobs("run", "hello")
    assert result.code == expected
    assert "Because." in result.stderr
    assert result.stdout == b""


def test_what_never_started_is_125(meanwhile):
    def claim() -> None:
        make_attempt(AttemptState.CLAIMED, job=ContainerJob.objects.get())

    meanwhile.do(claim, finish_failing("failed", Outcome.REJECTED, None, "image_missing"))
    assert jobs("run", "hello").code == 125


def test_a_retry_is_followed_as_well(meanwhile):
    meanwhile.do(
        start,
        write((1, b"first\n")),
        finish(Outcome.USER, "pending", 1, retry_delay_seconds=0.0, failure_class="exit_code"),
        start,
        write((1, b"second\n")),
        finish(),
    )
    result = jobs("run", "hello")
    assert (result.code, result.stdout) == (0, b"first\nsecond\n")


def test_the_reason_for_waiting_is_said_once_each(meanwhile):
    def because(reason: str):
        return lambda: ContainerJob.objects.update(pending_reason=reason)

    meanwhile.do(because("no room"), because("no room"), because("no host"), start, finish())
    stderr = jobs("run", "hello").stderr
    assert stderr == "Waiting: no room\nWaiting: no host\n"


def test_how_far_a_pull_is_is_said_while_it_is_waited_for(meanwhile, monkeypatch):
    def begin_to_pull() -> None:
        make_attempt(AttemptState.PULLING, job=ContainerJob.objects.get())

    def does(phase: str):
        return lambda: Attempt.objects.update(phase=phase)

    monkeypatch.setattr(follow, "_SAY_PHASE_EVERY_SECONDS", 0.0)
    pull = "Pulling busybox:1: 1 of 2 layers"
    meanwhile.do(begin_to_pull, does(pull), does(pull), does(""), finish())
    assert jobs("run", "hello").stderr == f"{pull}\n"


@pytest.mark.parametrize("arguments", [("run", "hello"), ("create", "hello", "--wait", "--json")])
def test_without_a_supervisor_waiting_ends_soon(meanwhile, monkeypatch, supervised, arguments):
    supervised.delete()
    assert follow.NOBODY_FOR_SECONDS < 8
    monkeypatch.setattr(follow, "NOBODY_FOR_SECONDS", 0.0)
    monkeypatch.setattr(follow, "_ASK_FOR_SUPERVISOR_EVERY_SECONDS", 0.0)
    meanwhile.do(lambda: None, lambda: None)
    result = jobs(*arguments)
    job = ContainerJob.objects.get()
    assert result.code == 75
    assert "no supervisor is running; start one with `manage.py supervise`" in result.stderr
    assert str(job.pk) in result.stderr
    assert job.status == JobStatus.PENDING
    if "--json" in arguments:
        assert result.json["status"] == "pending"


def test_the_first_ctrl_c_cancels_and_the_end_is_waited_for(meanwhile):
    meanwhile.do(
        start, meanwhile.press_ctrl_c, finish_failing("cancelled", Outcome.CANCELLED, 143, "cancelled")
    )
    result = jobs("run", "hello")
    assert result.code == 130
    assert "Cancelling job" in result.stderr
    assert ContainerJob.objects.get().cancel_requested_at


def test_the_second_ctrl_c_stops_waiting(meanwhile):
    meanwhile.do(start, meanwhile.press_ctrl_c, meanwhile.press_ctrl_c)
    result = jobs("run", "hello")
    assert result.code == 130
    assert "show" in result.stderr
    assert "--follow" in result.stderr
    assert ContainerJob.objects.get().status == JobStatus.RUNNING


def test_a_job_that_completed_all_the_same_is_0(meanwhile):
    meanwhile.do(start, meanwhile.press_ctrl_c, finish())
    assert jobs("run", "hello").code == 0


def test_a_job_deleted_meanwhile_is_not_found(meanwhile):
    meanwhile.do(lambda: ContainerJob.objects.all().delete())
    assert jobs("run", "hello").code == 4


# --- create --wait, show --follow ---


def test_create_wait_is_as_successful_as_the_job(meanwhile):
    meanwhile.do(start, finish())
    result = jobs("create", "hello", "--wait", "--json")
    assert (result.code, result.json["status"]) == (0, "completed")
    ContainerJob.objects.all().delete()
    meanwhile.do(start, finish_failing("failed", Outcome.USER, 3, "exit_code"))
    result = jobs("create", "hello", "--wait")
    assert result.code == 1
    assert "failed" in result.text


def test_ctrl_c_leaves_the_job_of_create_alone(meanwhile):
    meanwhile.do(start, meanwhile.press_ctrl_c)
    assert jobs("create", "hello", "--wait").code == 130
    assert ContainerJob.objects.get().cancel_requested_at is None


def test_show_follow_prints_the_log_so_far_and_the_rest(meanwhile):
    attempt = make_attempt(AttemptState.RUNNING)
    store_log(attempt, (1, b"before\n"))
    meanwhile.do(write((1, b"after\n")), finish())
    raw = jobs("show", str(attempt.job_id), "--follow", "--raw")
    assert (raw.code, raw.stdout) == (0, b"before\nafter\n")
    described = jobs("show", str(attempt.job_id), "--follow")
    assert described.stdout.endswith(b"before\nafter\n")
    assert b"Status" in described.stdout


def test_show_follow_json_waits_and_prints_one_object(meanwhile):
    attempt = make_attempt(AttemptState.RUNNING)
    meanwhile.do(write((1, b"out\n")), finish())
    record = jobs("show", str(attempt.job_id), "--follow", "--logs", "--json").json
    assert (record["status"], record["stdout"]) == ("completed", "out\n")


# --- run-command ---


def test_run_command_uses_the_built_in_template(meanwhile, settings):
    settings.TALLYMAN_APP_IMAGE = "app:1"
    meanwhile.do(start, finish())
    result = jobs(
        "run-command", "--env", "A=1", "--", "migrate", "--check", "--env", "B=2", "C=3", "two words"
    )
    job = ContainerJob.objects.select_related("template").get()
    assert result.code == 0
    assert job.override_command == "python manage.py migrate --check --env B=2 C=3 'two words'"
    assert job.override_environment == {"A": "1"}
    assert (job.template.name, job.template.docker_image) == ("django", "app:1")
    assert (job.override_image, job.name) == ("", "migrate")


def test_the_two_dashes_may_be_left_out_and_the_image_differ(settings):
    settings.TALLYMAN_APP_IMAGE = "app:1"
    make_template("django", docker_image="app:1")
    result = jobs("run-command", "--image", "app:2", "--detach", "check", "--deploy", "--help")
    job = ContainerJob.objects.get()
    assert result.text == f"{job.pk}\n"
    assert job.override_command == "python manage.py check --deploy --help"
    assert job.override_image == "app:2"

"""manage_container_job: what it prints, and what it exits with, where nothing has to run."""

from __future__ import annotations

import io

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from jobs.models import ContainerJob, JobEvent
from jobs.states import AttemptState, JobStatus
from tests.admin_ui.commands import jobs
from tests.jobs.attempts import make_attempt
from tests.support import own_executors
from tests.support.factories import make_host, make_job, make_template

pytestmark = pytest.mark.django_db

KEYS = {
    "id",
    "name",
    "status",
    "exit_code",
    "template",
    "host",
    "attempt",
    "pending_reason",
    "failure",
    "created_at",
    "started_at",
    "completed_at",
    "duration_seconds",
    "container_id",
    "peak_memory_bytes",
    "cpu_seconds",
}
UNKNOWN_ID = "00000000-0000-7000-8000-000000000000"


# --- create ---


def test_create_submits_a_job_with_everything_given():
    make_template("hello")
    host = make_host("far")
    result = jobs(
        "create", "hello", "far", "--name", "My Job", "--command", "echo 'a b'", "--env", "A=1", "B=x=y"
    )
    job = ContainerJob.objects.get()
    assert result.code == 0
    assert str(job.pk) in result.text
    assert (job.docker_host, job.name, job.override_command) == (host, "My Job", "echo 'a b'")
    assert job.override_environment == {"A": "1", "B": "x=y"}
    assert "command line" in JobEvent.objects.get().who


def test_create_takes_what_bounds_the_job():
    make_template("hello")
    given = ("--max-attempts", "3", "--retry-on", "user, oom", "--start-deadline", "60")
    assert jobs("create", "hello", *given).code == 0
    job = ContainerJob.objects.get()
    assert (job.override_max_attempts, job.override_retry_on) == (3, ["user", "oom"])
    assert job.override_start_deadline_seconds == 60


def test_no_retries_are_not_the_same_as_the_templates():
    make_template("hello", retry_on=["user"])
    for arguments, stored in [((), None), (("--retry-on", ""), [])]:
        assert jobs("create", "hello", *arguments).code == 0
        assert ContainerJob.objects.first().override_retry_on == stored


def test_run_command_takes_what_bounds_the_job(settings):
    settings.TALLYMAN_APP_IMAGE = "app:1"
    given = ("--max-attempts", "3", "--retry-on=lost", "--start-deadline", "60", "--detach")
    assert jobs("run-command", *given, "--", "migrate").code == 0
    job = ContainerJob.objects.get()
    assert (job.override_max_attempts, job.override_retry_on) == (3, ["lost"])
    assert job.override_start_deadline_seconds == 60


@pytest.mark.parametrize(
    "arguments",
    [
        ("--env", "A=1", "B=2", "hello", "far"),
        ("--env", "A=1", "--env", "B=2", "hello", "far"),
        ("--env=A=1", "B=2", "hello", "far"),
        ("hello", "--env", "A=1", "B=2", "--name", "x", "far"),
    ],
)
def test_variables_and_names_may_stand_in_any_order(arguments):
    make_template("hello")
    make_host("far")
    assert jobs("create", *arguments).code == 0
    job = ContainerJob.objects.get()
    assert job.override_environment == {"A": "1", "B": "2"}
    assert job.docker_host.name == "far"


def test_create_json_is_one_object_with_the_promised_keys():
    make_template("hello")
    record = jobs("create", "hello", "--json").json
    assert set(record) >= KEYS
    assert record["status"] == "pending"
    assert record["host"] is None
    assert record["failure"] is None


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("create", "helo"), 4, "Did you mean hello?"),
        (("create", "zzz"), 4, "There are: hello."),
        (("create", "hello", "nowhere"), 4, "There are no hosts yet."),
        (("create", "hello", "--env", "NOVALUE"), 2, "NAME=VALUE"),
        (("create", "hello", "--env", "1A=x"), 2, "override_environment: '1A'"),
        (("create", "hello", "--env", "TALLYMAN_X=1"), 2, "TALLYMAN_"),
        (("create", "hello", "--command", "echo 'open"), 2, "override_command:"),
        (("create", "hello", "--name", "x" * 300), 2, "name:"),
        (("create", "hello", "--max-attempts", "0"), 2, "above 0"),
        (("create", "hello", "--max-attempts", "101"), 2, "override_max_attempts:"),
        (("create", "hello", "--retry-on", "user,rejected"), 2, "'rejected' is none of user, oom,"),
        (("create", "hello", "--start-deadline", "soon"), 2, "above 0"),
        (("create", "hello", "--name", "\udcff"), 2, "UTF-8"),
        (("create",), 2, "TEMPLATE"),
        (("show", "not-an-id"), 2, "UUID"),
        (("show", UNKNOWN_ID), 4, "There is no job"),
        (("show", UNKNOWN_ID, "--json", "--raw"), 2, "--raw"),
        (("cancel", UNKNOWN_ID), 4, "There is no job"),
        (("retry", UNKNOWN_ID), 4, "There is no job"),
        (("list", "--status", "gone"), 2, "invalid choice"),
        (("list", "--host", "nowhere"), 4, "There is no host"),
        (("list", "--limit", "0"), 2, "above 0"),
        (("run-command",), 2, "after --"),
        (("run-command", "--", "migrate"), 2, "--image"),
        (("run-command", "--", "migrate"), 2, "TALLYMAN_APP_IMAGE"),
        (("run-command", "--env", "A=1", "B=2", "migrate"), 2, "an --env of its own"),
        ((), 2, "SUBCOMMAND"),
        (("sing",), 2, "invalid choice"),
    ],
)
def test_what_is_wrong_is_one_line_with_the_right_exit_code(arguments, code, words, settings):
    settings.TALLYMAN_APP_IMAGE = ""
    make_template("hello")
    result = jobs(*arguments)
    assert result.code == code
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == b""
    assert not ContainerJob.objects.exists()


def test_a_wrong_argument_is_a_command_error_for_programs_too():
    with pytest.raises(CommandError, match="UUID") as caught:
        call_command("manage_container_job", "show", "x")
    assert caught.value.returncode == 2


def test_five_near_names_are_enough():
    for number in range(8):
        make_template(f"report-{number}")
    said = jobs("create", "report").stderr
    assert said.count("report-") == 5


def test_an_archived_template_is_not_there():
    make_template("old", archived_at="2025-01-01T00:00:00Z")
    assert jobs("create", "old").code == 4


# --- cancel and its like ---


def test_cancel_ends_a_pending_job_at_once():
    job = make_job()
    assert jobs("cancel", str(job.pk)).code == 0
    job.refresh_from_db()
    assert job.status == JobStatus.CANCELLED


def test_cancel_asks_for_an_open_one_and_force_is_noted():
    attempt = make_attempt(AttemptState.RUNNING)
    result = jobs("cancel", str(attempt.job_id), "--force")
    attempt.job.refresh_from_db()
    assert result.code == 0
    assert "being cancelled" in result.text
    assert attempt.job.cancel_force


@pytest.mark.parametrize("verb", ["cancel", "stop", "start"])
def test_what_does_not_fit_an_ended_job_is_refused(verb):
    job = make_job(status=JobStatus.COMPLETED)
    result = jobs(verb, str(job.pk))
    assert result.code == 1
    assert "is completed" in result.stderr


def test_stop_start_retry_and_restart():
    job = make_job()
    assert jobs("stop", str(job.pk)).code == 0
    job.refresh_from_db()
    assert job.hold == "stopped"
    assert jobs("start", str(job.pk)).code == 0
    assert jobs("cancel", str(job.pk)).code == 0
    assert jobs("retry", str(job.pk)).code == 0
    job.refresh_from_db()
    assert (job.status, job.hold) == ("pending", "")
    assert jobs("restart", str(job.pk)).code == 0
    assert ContainerJob.objects.filter(restarted_from=job, hold="").count() == 1


def test_an_unusable_database_is_a_sentence(monkeypatch):
    def away(*_args):
        raise OperationalError("no such table: jobs_containerjob")

    monkeypatch.setattr("admin_ui.cli.lookup.job", away)
    result = jobs("cancel", UNKNOWN_ID)
    assert result.code == 75
    assert "no such table" in result.stderr


# --- declare-lost ---


def test_declare_lost_wants_the_id_of_the_job_typed(monkeypatch, settings):
    settings.TALLYMAN_EXECUTORS = {"mine": f"{own_executors.__name__}.MyCustomExecutor"}
    attempt = make_attempt(host=make_host("platform", executor_type="mine", connection_string=""))
    job_id = str(attempt.job_id)
    monkeypatch.setattr("sys.stdin", io.StringIO("no\n"))
    assert jobs("declare-lost", job_id).code == 2
    assert "--yes-i-mean" in jobs("declare-lost", job_id).stderr  # nobody is there any more
    assert jobs("declare-lost", job_id, "--yes-i-mean", "other").code == 2
    attempt.refresh_from_db()
    assert attempt.outcome == ""
    assert jobs("declare-lost", job_id, "--yes-i-mean", job_id.upper()).code == 0
    attempt.refresh_from_db()
    assert attempt.outcome == "lost"
    again = jobs("declare-lost", job_id, "--yes-i-mean", job_id)
    assert (again.code, "no attempt under way" in again.stderr) == (1, True)

"""manage_container_job list and show: what they tell of jobs, and what they never tell."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from jobs.models import Attempt, ContainerExecution, EnvironmentVariable, UsageSample
from jobs.retention import Policy, Sweep
from jobs.states import AttemptState, JobStatus, Outcome
from tests.admin_ui.commands import jobs
from tests.admin_ui.rows import store_log
from tests.jobs.attempts import end, make_attempt
from tests.support.factories import make_host, make_job, make_template

pytestmark = pytest.mark.django_db


def test_list_filters_and_limits():
    host = make_host("a")
    pinned, elsewhere = make_job(host=host), make_job(host=make_host("b"))
    ran = make_attempt(host=host).job
    assert [row["id"] for row in jobs("list", "--host", "a", "--json").json] == [str(ran.pk), str(pinned.pk)]
    assert [row["id"] for row in jobs("list", "--status", "starting", "--json").json] == [str(ran.pk)]
    assert len(jobs("list", "--limit", "2", "--json").json) == 2
    assert str(elsewhere.pk) in jobs("list").text


def test_an_empty_list_is_json_too():
    assert jobs("list", "--json").json == []


def test_list_needs_as_many_queries_for_many_jobs_as_for_one(django_assert_num_queries):
    host = make_host("a")
    for _ in range(5):
        make_attempt(AttemptState.RUNNING, host=host, job=make_job())
    with django_assert_num_queries(3):
        assert len(jobs("list", "--json").json) == 5


def test_show_json_tells_a_failure_and_what_was_used():
    attempt = make_attempt(AttemptState.EXITED, container_id="c" * 64)
    assert end(
        attempt,
        Outcome.USER,
        job_status=JobStatus.FAILED,
        exit_code=3,
        failure_class="exit_code",
        failure_message="It ended with exit code 3.",
        failure_hint="Look.",
        peak_memory_bytes=1024,
        cpu_seconds=0.5,
    )
    record = jobs("show", str(attempt.job_id), "--json").json
    assert record["failure"] == {
        "class": "exit_code",
        "message": "It ended with exit code 3.",
        "hint": "Look.",
    }
    assert (record["exit_code"], record["attempt"], record["host"]) == (3, 1, attempt.host_name)
    assert (record["container_id"], record["peak_memory_bytes"], record["cpu_seconds"]) == (
        "c" * 64,
        1024,
        0.5,
    )


def test_a_running_job_shows_what_it_used_so_far():
    attempt = make_attempt(AttemptState.RUNNING)
    UsageSample.objects.create(attempt=attempt, memory_bytes=10, cpu_seconds=1.0)
    UsageSample.objects.create(attempt=attempt, memory_bytes=7, cpu_seconds=2.0)
    ContainerExecution.objects.create(job=attempt.job, attempt_number=0, peak_memory_bytes=999)
    record = jobs("show", str(attempt.job_id), "--json").json
    assert (record["peak_memory_bytes"], record["cpu_seconds"]) == (10, 2.0)


def test_show_never_prints_values_of_variables():
    template = make_template("t", command="echo hi")
    EnvironmentVariable.objects.create(template=template, key="PLAIN", value="plain-value")
    EnvironmentVariable.objects.create(template=template, key="TOKEN", value="secret-value", is_secret=True)
    job = make_job(
        template, override_environment={"OWN": "own-value"}, secret_environment={"S": "hidden-value"}
    )
    result = jobs("show", str(job.pk))
    assert "OWN, PLAIN, S, TOKEN" in result.text
    assert "-value" not in result.text
    assert "-value" not in jobs("show", str(job.pk), "--json", "--logs").text


def test_show_logs_in_three_forms():
    attempt = make_attempt(AttemptState.RUNNING)
    store_log(attempt, (1, b"out\xff\n"), (2, b"err"))
    store_log(attempt, (1, b"more\n"))
    job_id = str(attempt.job_id)

    record = jobs("show", job_id, "--logs", "--json").json
    assert (record["stdout"], record["stderr"]) == ("out\N{REPLACEMENT CHARACTER}\nmore\n", "err")
    raw = jobs("show", job_id, "--logs", "--raw")
    assert raw.stdout == b"out\xff\nmore\n"
    assert raw.stderr == "err"
    for_people = jobs("show", job_id, "--logs").stdout
    assert b"--- stdout ---\nout\xff\nmore\n" in for_people
    assert b"--- stderr ---\nerr\n" in for_people


def test_a_job_that_never_started_has_empty_logs():
    record = jobs("show", str(make_job().pk), "--logs", "--json").json
    assert (record["stdout"], record["stderr"]) == ("", "")


def test_names_cannot_steer_the_terminal():
    make_job(name="\x1b[2Jboo")
    assert "\x1b" not in jobs("list").text


def test_a_log_that_retention_deleted_is_not_shown_as_an_empty_one():
    attempt = make_attempt(AttemptState.EXITED)
    store_log(attempt, (1, b"gone\n"))
    end(attempt)
    sweep = Sweep(Policy(logs_days=1))
    Attempt.objects.update(ended_at=Now() - timedelta(days=2))
    while sweep.step():
        pass
    job = str(attempt.job_id)
    for arguments in (("--logs",), ("--raw",)):
        shown = jobs("show", job, *arguments)
        assert "Deleted by retention, which keeps logs for 1 day." in shown.stderr
        assert b"gone" not in shown.stdout
        assert b"stdout" not in shown.stdout

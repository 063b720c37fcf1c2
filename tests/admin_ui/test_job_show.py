"""manage_container_job list and show: what they tell of jobs, and what they never tell."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from hosts.executors.contract import Usage
from jobs.measures import FIGURES
from jobs.models import Attempt, ContainerExecution, ContainerJob, ContainerTemplate, EnvironmentVariable
from jobs.retention import Policy, Sweep
from jobs.states import AttemptState, JobStatus, Outcome
from tests.admin_ui.commands import jobs
from tests.admin_ui.rows import store_log
from tests.jobs.attempts import end, make_attempt
from tests.jobs.chunks import out, text
from tests.jobs.test_log_cap import capped, store
from tests.jobs.test_usage import store_readings
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
    with django_assert_num_queries(2):
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


def failed_and_running_again():
    job = make_job(make_template(memory_limit=64, tty=True), override_max_attempts=3)
    ContainerTemplate.objects.update(retry_on=["user"])
    first = make_attempt(AttemptState.RUNNING, job=job, started_at="2025-01-31T12:00:00Z", worker_kills=1)
    failure = {"failure_class": "exit_code", "failure_message": "It ended with exit code 3."}
    end(first, Outcome.USER, job_status="pending", retry_delay_seconds=0.0, exit_code=3, **failure)
    job.refresh_from_db()
    make_attempt(AttemptState.PULLING, job=job, phase="pulling 3 of 7 layers")
    return job


def test_show_json_tells_of_every_attempt_oldest_first():
    job = failed_and_running_again()
    first, second = jobs("show", str(job.pk), "--json").json["attempts"]
    assert (first["number"], first["state"], first["outcome"]) == (1, "ended", "user")
    assert (first["exit_code"], first["worker_kills"], first["host"]) == (3, 1, "host-a")
    assert first["failure"]["class"] == "exit_code"
    assert first["started_at"].startswith("2025-01-31T12:00:00")
    assert (second["number"], second["state"], second["outcome"]) == (2, "pulling", "")
    assert (second["phase"], second["worker_kills"], second["failure"]) == ("pulling 3 of 7 layers", 0, None)


def test_show_tells_the_same_to_people():
    job = failed_and_running_again()
    lines = jobs("show", str(job.pk)).text.splitlines()
    table = lines[next(place for place, line in enumerate(lines) if line.startswith("ATTEMPT")) :]
    assert table[1].split()[:4] == ["1", "host-a", "user", "3"]
    assert table[1].endswith("killed 1 worker; It ended with exit code 3")
    assert table[2].split()[:3] == ["2", "host-a", "pulling"]
    assert table[2].endswith("pulling 3 of 7 layers")
    said = {" ".join(line.split()) for line in lines}
    assert "Memory limit 64 MB" in said
    assert "Attempts up to 3, after user; waits of 1 s, doubled up to 300 s" in said


def test_show_tells_the_limits_as_frozen_and_for_a_pending_job_as_they_would_be_now():
    attempt = make_attempt(AttemptState.RUNNING, job=make_job(make_template(timeout_seconds=60)))
    pending = make_job(override_max_attempts=5)
    ContainerTemplate.objects.update(timeout_seconds=90, stop_signal="SIGINT")
    frozen = jobs("show", str(attempt.job_id), "--json").json["limits"]
    assert (frozen["timeout_seconds"], frozen["stop_signal"]) == (60, "SIGTERM")
    current = jobs("show", str(pending.pk), "--json").json["limits"]
    assert (current["timeout_seconds"], current["stop_signal"], current["max_attempts"]) == (90, "SIGINT", 5)


def test_a_job_without_attempts_has_no_table():
    job = make_job()
    assert jobs("show", str(job.pk), "--json").json["attempts"] == []
    assert "ATTEMPT" not in jobs("show", str(job.pk)).text


def test_a_running_job_shows_what_it_used_so_far():
    attempt = make_attempt(AttemptState.RUNNING)
    store_readings(attempt, Usage(memory_bytes=10, cpu_seconds=1.0), Usage(memory_bytes=7, cpu_seconds=2.0))
    ContainerExecution.objects.create(job=attempt.job, attempt_number=0, peak_memory_bytes=999)
    record = jobs("show", str(attempt.job_id), "--json").json
    assert (record["peak_memory_bytes"], record["cpu_seconds"]) == (10, 2.0)
    assert record["network_rx_bytes"] is None


def test_what_was_not_measured_is_null_for_programs_and_said_to_people():
    attempt = make_attempt(AttemptState.EXITED, container_id="c" * 64)
    Attempt.objects.update(started_at=Now())
    ContainerJob.objects.update(started_at=Now())
    assert end(attempt, cpu_seconds=0.0)
    record = jobs("show", str(attempt.job_id), "--json").json
    assert {name: record[name] for name in FIGURES} == {**dict.fromkeys(FIGURES), "cpu_seconds": 0.0}
    text = jobs("show", str(attempt.job_id)).text
    assert "CPU time        0.00 s" in text
    for name in ("Peak memory", "Average memory", "Network in", "Network out", "Disk read", "Peak PIDs"):
        assert f"{name:14}  not measured" in text


def test_nothing_is_said_of_measures_before_a_job_starts():
    assert "measured" not in jobs("show", str(make_job().pk)).text


def test_how_far_a_pull_is_is_shown_in_list_show_and_json():
    words = "Pulling busybox:1: 3 of 7 layers, 45 MB of 120 MB"
    job_id = str(make_attempt(AttemptState.PULLING, phase=words).job_id)
    make_job()
    assert jobs("show", job_id, "--json").json["phase"] == words
    assert f"Phase           {words}" in jobs("show", job_id).text
    assert words in jobs("list").text
    assert [row["phase"] for row in jobs("list", "--json").json] == [None, words]


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


def test_what_is_left_out_of_a_log_is_said_and_never_in_raw_bytes():
    attempt = capped(cap=100)
    store(attempt, *(out(f"{number:09}\n", number) for number in range(20)))
    job_id, mark = str(attempt.job_id), f"[... {attempt.log_gap_bytes} bytes"

    assert mark in jobs("show", job_id, "--logs", "--json").json["stdout"]
    assert mark in jobs("show", job_id, "--logs").text
    raw = jobs("show", job_id, "--logs", "--raw")
    assert raw.stdout == text(attempt)
    assert raw.stderr == f"{mark} of stdout left out ...]\n"


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

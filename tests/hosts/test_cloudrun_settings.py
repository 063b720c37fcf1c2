"""What a Cloud Run host may be told, and what its settings come to."""

from __future__ import annotations

from typing import Any

import pytest

from hosts.executors.cloudrun import CloudRunExecutor, causes, resources
from hosts.executors.cloudrun.causes import Cause, Told
from jobs.outcome import Exit, judge
from jobs.states import Outcome
from tests.jobs.attempts import claim, take
from tests.support.factories import make_host, make_job, make_template

RIGHT = {
    "project": "my-gcp-project",
    "region": "us-central1",
    "service_account": "container-runner@my-project.iam.gserviceaccount.com",
    "vpc_connector": "projects/my-project/locations/us-central1/connectors/my-vpc",
    "cpu_limit": "2",
    "memory_limit": "2Gi",
    "max_retries": 3,
    "task_timeout": "3600s",
}


def test_the_specifications_example_is_right():
    assert CloudRunExecutor.validate_config("", RIGHT) == []


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("project", "", "project is missing"),
        ("project", "My Project", "project must be"),
        ("region", None, "region is missing"),
        ("region", "us-central1-a/b", "region must be"),
        ("service_account", "runner", "service_account must be"),
        ("vpc_connector", "my-vpc", "vpc_connector must be"),
        ("cpu_limit", "two", "cpu_limit must be"),
        ("cpu_limit", "64", "8 CPUs"),
        ("memory_limit", "2", "memory_limit must be"),
        ("memory_limit", "64Gi", "32768 MB"),
        ("max_retries", -1, "max_retries must be"),
        ("max_retries", True, "max_retries must be"),
        ("task_timeout", "1h", "task_timeout must be"),
        ("task_timeout", "999999s", "task_timeout must be"),
        ("timeout", "soon", "timeout must be"),
        ("log_settle_seconds", -1, "log_settle_seconds must be"),
        ("log_reads_per_minute", 0, "log_reads_per_minute must be"),
        ("credentials_file", "key.json", "credentials_file must be"),
        ("credentials_json", "{}", "credentials_json must be"),
        ("credentials_json", '{"type": "external_account"}', "credentials_json must be"),
        ("credentials_json", {"type": "service_account"}, "credentials_json must be"),
        ("logging_url", "logging", "logging_url must be"),
        ("service_acount", "a@b.c", "There is no setting service_acount. Known are: base_url, cpu_limit"),
    ],
)
def test_a_wrong_setting_is_named(key: str, value: Any, words: str):
    (problem,) = CloudRunExecutor.validate_config("", {**RIGHT, key: value})
    assert words in problem


def test_a_url_that_is_none_is_named():
    assert "https://HOST" in CloudRunExecutor.validate_config("tcp://1.2.3.4:2376", RIGHT)[0]


@pytest.mark.parametrize(
    ("cpus", "memory_mb", "limits"),
    [
        (None, None, {}),
        (0.5, 64, {"cpu": "1", "memory": "512Mi"}),
        (1, 4097, {"cpu": "2", "memory": "4097Mi"}),
        (3, 512, {"cpu": "4", "memory": "2048Mi"}),
        (None, 20_000, {"cpu": "6", "memory": "20000Mi"}),
        (8, None, {"cpu": "8", "memory": "4096Mi"}),
    ],
)
def test_a_job_gets_the_least_that_is_sold_of_what_it_asks_for(
    cpus: float | None, memory_mb: float | None, limits: dict[str, str]
):
    assert resources.limits(cpus, memory_mb) == limits


@pytest.mark.parametrize(
    ("told", "cause"),
    [
        (Told(message="Container called exit(1).", ran=True), Cause()),
        (
            Told(message="Memory limit of 512 MiB exceeded with 519 MiB used.", ran=True),
            Cause(oom_killed=True),
        ),
        (Told(message="", code=4, ran=True), Cause("timeout", "timeout")),
        (
            Told(message="Execution was cancelled.", reasons=("CANCELLED",), ran=True),
            Cause("cancelled", "cancelled"),
        ),
        (Told(message="", reasons=("CONTAINER_MISSING",)), Cause("rejected", "image_not_found")),
        (Told(message="", reasons=("SECRETS_ACCESS_CHECK_FAILED",)), Cause("infra", "permission_denied")),
        (
            Told(message="Application failed to start: no such file or directory"),
            Cause("rejected", "start_refused", exit_code=127),
        ),
        # It did run, so whatever its program says of quotas is the program's own affair.
        (Told(message="quota exceeded", ran=True), Cause()),
    ],
)
def test_reasons_of_failures_are_told_apart(told: Told, cause: Cause):
    assert causes.cause(told) == cause


@pytest.mark.parametrize(
    ("ended_by", "outcome", "failure_class"),
    [
        ("timeout", Outcome.TIMEOUT, "timeout"),
        ("outside", Outcome.INTERRUPTED, "killed"),
    ],
)
def test_what_the_engine_says_of_an_end_decides_on_its_outcome(
    ended_by: str, outcome: Outcome, failure_class: str
):
    end = Exit(exit_code=143, ended_by=ended_by, error="It says so.")
    verdict = judge(end)
    assert (verdict.outcome, verdict.failure_class) == (outcome, failure_class)
    assert "It says so." in verdict.message


def test_an_end_that_we_asked_for_is_ours_whatever_the_engine_calls_it():
    end = Exit(exit_code=None, ended_by="outside", stop_reason="cancelled")
    assert judge(end).outcome is Outcome.CANCELLED


@pytest.mark.django_db
@pytest.mark.parametrize(("config", "retries"), [({"max_retries": 0}, 0), ({"max_retries": 7}, 7), ({}, 2)])
def test_max_retries_of_the_host_is_the_infra_budget_of_what_is_claimed_for_it(
    config: dict[str, Any], retries: int
):
    host = make_host(executor_type="cloudrun", connection_string="", executor_config={**RIGHT, **config})
    if not config:
        del host.executor_config["max_retries"]
    make_job(make_template(infra_retries=2), host)
    (attempt,) = claim(take(host), host)
    attempt.refresh_from_db()
    assert attempt.spec["infra_retries"] == retries

"""The tabs of a job's page: what it ran, what it used, what its executor said, how it was tried again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.urls import reverse

from jobs import spec
from jobs.models import Attempt, ContainerJob, EnvironmentVariable, JobEvent, UsageSample
from jobs.states import AttemptState, JobStatus, Outcome
from tests.admin_ui.test_job_page import page
from tests.jobs.attempts import make_attempt
from tests.support.factories import make_host, make_job, make_template

pytestmark = pytest.mark.django_db
SECRET = "s3cr3t-v4lue"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def shop_job(**fields) -> ContainerJob:
    """A job of a template with variables; it has some of its own."""
    template = make_template(
        "shop", command="serve --port 80", entrypoint="tini --", timeout_seconds=120, memory_limit=256
    )
    for key, value, is_secret in (("COLOUR", "red", False), ("SIZE", "m", False), ("TOKEN", SECRET, True)):
        EnvironmentVariable.objects.create(template=template, key=key, value=value, is_secret=is_secret)
    return make_job(
        template,
        override_environment={"COLOUR": "blue", "DB_PASSWORD": SECRET},
        secret_environment={"KEY": SECRET},
        **fields,
    )


def frozen(job: ContainerJob, **fields) -> Attempt:
    """An attempt with what a claim would freeze now."""
    template = job.template
    stored = spec.freeze(
        job, template, template.environment_variables.all(), template.network_assignments.all()
    )
    attempt = make_attempt(AttemptState.RUNNING, job=job, **fields)
    Attempt.objects.filter(pk=attempt.pk).update(spec=stored)
    return attempt


def row_of(html: str, name: str) -> str:
    """The line of the environment that begins with this name."""
    return html.split(f">{name}</th>", 1)[1].split("</tr>", 1)[0]


# --- configuration ---


@pytest.mark.parametrize("claimed", [True, False])
def test_the_environment_is_merged_and_each_value_has_its_origin(admin_client, claimed):
    job = shop_job()
    if claimed:
        frozen(job)
    html = page(admin_client, job, "configuration")
    assert "blue" in row_of(html, "COLOUR")
    assert "origin-job" in row_of(html, "COLOUR")
    assert "instead of the template" in row_of(html, "COLOUR")
    assert "origin-template" in row_of(html, "SIZE")
    assert "secret, not shown" in row_of(html, "TOKEN")
    assert "origin-job" in row_of(html, "KEY")
    assert "origin-runtime" in row_of(html, "TALLYMAN_JOB_ID")
    assert "•••" in row_of(html, "DB_PASSWORD")
    assert SECRET not in html


def test_the_command_stands_there_word_by_word_as_it_will_run(admin_client):
    job = shop_job()
    ContainerJob.objects.filter(pk=job.pk).update(override_command="sh -c 'a && b'")
    html = page(admin_client, job, "configuration")
    words = html.split('class="argv">', 1)[1].split("</p>", 1)[0]
    assert (
        "<code>tini</code> <code>--</code> <code>sh</code> <code>-c</code> <code>a &amp;&amp; b</code>"
        in words
    )


def test_what_differs_from_the_template_says_who_made_it_differ(admin_client):
    job = shop_job(override_image="other:2")
    frozen(job)
    job.template.timeout_seconds = 999
    job.template.save()
    EnvironmentVariable.objects.filter(key="SIZE").update(value="xl")
    html = page(admin_client, job, "configuration").split("What differs", 1)[1]
    assert "the job sets it" in row_of(html, "Image")
    assert "the template was changed since" in row_of(html, "Timeout")
    assert "the template was changed since" in row_of(html, "environment SIZE")
    assert "the job sets it" in row_of(html, "environment COLOUR")
    assert SECRET not in html


def test_secrets_that_no_key_reads_are_said_and_break_no_page(admin_client, settings):
    job = shop_job()
    settings.TALLYMAN_SECRET_KEYS = ["MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="]
    html = page(admin_client, job, "configuration")
    assert "It cannot run as it is." in html
    assert "No key in TALLYMAN_SECRET_KEYS" in html


@pytest.mark.parametrize(
    "strange",
    [{"override_environment": [1, 2]}, {"override_environment": "x"}, {"override_command": "it's"}],
)
def test_a_row_that_nobody_checked_breaks_no_page(admin_client, strange):
    job = make_job(**strange)
    frozen(job)
    for tab in ("configuration", "metadata"):
        page(admin_client, job, tab)


def test_an_attempt_that_nobody_froze_breaks_no_page(admin_client):
    attempt = make_attempt(AttemptState.RUNNING)
    Attempt.objects.update(spec={})
    for tab in ("configuration", "metadata", "resources"):
        page(admin_client, attempt.job, tab)


# --- resources ---


def measured_job(**fields) -> ContainerJob:
    job = make_job(make_template("m", memory_limit=64))
    attempt = make_attempt(AttemptState.RUNNING, job=job, **fields)
    UsageSample.objects.bulk_create(
        UsageSample(
            attempt=attempt,
            at=NOW + timedelta(seconds=10 * place),
            memory_bytes=place * 1024**2,
            cpu_seconds=5.0 * place,
            pids=place,
            network_rx_bytes=None,
            network_tx_bytes=None,
        )
        for place in range(4)
    )
    return job


def chart(client, job: ContainerJob, key: str):
    return client.get(reverse("admin:job_chart", args=[job.pk, key])).json()


def test_charts_tell_percents_and_limits_and_what_was_not_measured(admin_client):
    job = measured_job()
    cpu = chart(admin_client, job, "cpu")
    assert cpu["series"][0]["values"] == [None, 50, 50, 50]
    memory = chart(admin_client, job, "memory")
    assert memory["limit"]["value"] == 64 * 1024**2
    assert memory["series"][0]["values"][-1] == 3 * 1024**2
    assert chart(admin_client, job, "pids")["series"][0]["values"] == [0, 1, 2, 3]
    network = chart(admin_client, job, "network")
    assert (network["times"], network["summary"]) == ([], "Not measured.")
    assert not cpu["is_final"]


def test_a_kill_for_want_of_memory_is_marked(admin_client):
    job = measured_job(oom_killed=True)
    memory = chart(admin_client, job, "memory")
    assert memory["series"][1]["values"] == [None, None, None, 64 * 1024**2]
    assert "ran out of memory" in memory["summary"]
    assert "It was killed because it ran out of memory." in page(admin_client, job, "resources")


def test_figures_that_nobody_took_say_so(admin_client):
    assert "not measured" in page(admin_client, make_attempt(AttemptState.RUNNING).job, "resources")


# --- metadata ---


def test_what_the_executor_said_is_a_tree_without_credentials(admin_client):
    job = make_job(
        executor_metadata={
            "container_id": "abc",
            "ports": {"8080/tcp": 32768},
            "volumes": ["/a:/b"],
            "service_url": "https://job.example/",
            "api_token": SECRET,
        }
    )
    html = page(admin_client, job, "metadata")
    assert "32768" in html
    assert 'href="https://job.example/"' in html
    assert 'data-copy="abc"' in html
    assert SECRET not in html


def test_the_docker_equivalent_names_secrets_only(admin_client):
    job = shop_job()
    frozen(job, container_id="c0ffee" * 10)
    html = page(admin_client, job, "metadata")
    assert f"manage_container_job show {job.pk} --logs" in html
    assert "docker --host unix:///run/host-a.sock logs --timestamps c0ffeec0ffee" in html
    assert "--memory 256m --entrypoint tini --env COLOUR=blue --env DB_PASSWORD --env KEY" in html
    assert "busybox:latest -- serve --port 80" in html
    assert SECRET not in html


def test_what_does_not_run_on_docker_has_no_docker_equivalent(admin_client):
    host = make_host("batch", executor_type="cloudrun", connection_string="")
    job = make_attempt(AttemptState.RUNNING, host=host).job
    assert "docker run" not in page(admin_client, job, "metadata")


# --- attempts and events ---


def test_each_attempt_has_its_outcome_and_why(admin_client):
    job = make_job()
    make_attempt(
        AttemptState.ENDED, job=job, outcome=Outcome.OOM, exit_code=137, failure_message="Out of memory."
    )
    make_attempt(AttemptState.RUNNING, job=job)
    html = page(admin_client, job, "attempts")
    assert "state-oom" in html
    assert "137" in html
    assert "Out of memory" in html
    assert f"{reverse('admin:job_log', args=[job.pk])}?attempt=1" in html


def test_restarts_are_linked_both_ways(admin_client):
    old = make_job(name="old", status=JobStatus.FAILED)
    new = make_job(name="new", restarted_from=old)
    assert reverse("admin:job", args=[old.pk]) in page(admin_client, new, "attempts")
    assert reverse("admin:job", args=[new.pk]) in page(admin_client, old, "attempts")


def test_events_come_newest_first_and_go_on_below(admin_client):
    job = make_job()
    JobEvent.objects.bulk_create(
        JobEvent(
            job=job, kind="held", message=f"message {number:03}", at=NOW + timedelta(seconds=number // 2)
        )
        for number in range(150)
    )
    html = page(admin_client, job, "events")
    assert html.index("message 149") < html.index("message 050")
    assert "message 049" not in html.split('id="job-tab"')[1]
    before = html.split("tab=events&amp;before=")[1].split('"')[0]
    older = page(admin_client, job, "events", before=before).split('id="job-tab"')[1]
    assert "message 049" in older
    assert "message 050" not in older

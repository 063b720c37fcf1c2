"""The page of one job: how it is, what may be done, why it waits or failed, what happened."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from jobs import operations
from jobs.models import ContainerJob, JobEvent, UsageSample
from jobs.models.job import Hold
from jobs.states import AttemptState, JobStatus, Outcome
from tests.admin_ui.commands import make_supervisor
from tests.jobs.attempts import make_attempt
from tests.support.factories import make_host, make_job, make_template

pytestmark = pytest.mark.django_db
TABS = ("logs", "resources", "configuration", "metadata", "attempts", "events")


def page(client, job: ContainerJob, tab: str = "logs", **query: str) -> str:
    response = client.get(reverse("admin:job", args=[job.pk]), {"tab": tab, **query})
    assert response.status_code == 200
    return response.content.decode()


def head(client, job: ContainerJob):
    return client.get(reverse("admin:part_job_head", args=[job.pk]), HTTP_HX_REQUEST="true")


def verbs(html: str) -> set[str]:
    return {
        verb for verb in ("start", "stop", "cancel", "restart", "retry", "delete") if f"act/{verb}/" in html
    }


def person(*permissions: str) -> User:
    user = User.objects.create_user("somebody", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return user


def queries(client, job: ContainerJob, tab: str) -> int:
    with CaptureQueriesContext(
        connection,
    ) as seen:
        page(client, job, tab)
    return len(seen)


# --- actions ---


@pytest.mark.parametrize(
    ("fields", "offered"),
    [
        ({}, {"stop", "cancel", "restart"}),
        ({"hold": Hold.STOPPED}, {"start", "cancel", "restart"}),
        ({"status": JobStatus.COMPLETED}, {"restart", "delete"}),
        ({"status": JobStatus.FAILED}, {"retry", "restart", "delete"}),
    ],
)
def test_only_what_fits_the_job_is_offered(admin_client, fields, offered):
    assert verbs(page(admin_client, make_job(**fields))) == offered


def test_a_running_job_is_stopped_or_restarted(admin_client):
    html = page(admin_client, make_attempt(AttemptState.RUNNING).job)
    assert verbs(html) == {"stop", "restart"}


def test_who_may_only_look_is_offered_nothing(client):
    client.force_login(person("view_containerjob"))
    html = page(client, make_job(status=JobStatus.FAILED))
    assert verbs(html) == set()
    assert reverse("admin:job_new") not in html


def test_who_may_not_look_is_refused(client):
    job = make_job()
    client.force_login(person("view_dockerhost"))
    for address in (
        reverse("admin:job", args=[job.pk]),
        reverse("admin:part_job_head", args=[job.pk]),
        reverse("admin:part_job_tab", args=[job.pk, "events"]),
        reverse("admin:job_chart", args=[job.pk, "cpu"]),
    ):
        assert client.get(address).status_code == 403


def test_a_job_or_tab_or_chart_that_is_not_there_is_not_found(admin_client):
    job = make_job()
    pages = [
        reverse("admin:job", args=["01890000-0000-7000-8000-000000000009"]),
        reverse("admin:job", args=[job.pk]) + "?tab=nothing",
        reverse("admin:job", args=[job.pk]) + "?tab=configuration&attempt=7",
        reverse("admin:job", args=[job.pk]) + "?tab=configuration&attempt=99999999999999999999999",
        reverse("admin:job", args=[job.pk]) + "?tab=resources&attempt=x",
        reverse("admin:job", args=[job.pk]) + "?attempt=" + "9" * 5000,
        reverse("admin:part_job_tab", args=[job.pk, "logs"]),
        reverse("admin:job_chart", args=[job.pk, "nothing"]),
    ]
    assert [admin_client.get(address).status_code for address in pages] == [404] * len(pages)


# --- why ---


def test_a_failed_job_says_what_happened_and_what_to_try(admin_client):
    job = make_job(
        status=JobStatus.FAILED,
        failure_class="oom",
        failure_message="It was killed because it ran out of memory (limit 64 MB).",
        failure_hint="Raise memory_limit of the template.",
    )
    html = page(admin_client, job)
    assert "ran out of memory (limit 64 MB)" in html
    assert "Raise memory_limit of the template." in html
    assert "Open the template" in html


def test_a_job_that_is_tried_again_says_what_the_attempt_before_died_of(admin_client):
    job = make_job(failure_class="exit_code", failure_message="It ended with exit code 3.")
    html = page(admin_client, job)
    assert "The attempt before:" in html
    assert "exit code 3" in html


def test_a_pending_job_says_why_it_waits_and_what_each_host_says(admin_client):
    make_host("far-away")
    html = page(admin_client, make_job())
    assert "No supervisor is running" in html
    assert "far-away" in html
    assert "is held by no worker" in html


def test_a_reason_that_ends_in_a_full_stop_gets_no_second_one(admin_client):
    make_supervisor()
    job = make_job(pending_reason="No host takes it: it is unreachable: there is no socket.")
    assert "there is no socket.</strong>" in page(admin_client, job)


def test_who_may_not_see_hosts_is_not_told_of_them(client):
    make_host("far-away")
    client.force_login(person("view_containerjob"))
    assert "far-away" not in page(client, make_job())


def test_a_running_job_shows_how_much_of_its_time_is_used(admin_client):
    now = timezone.now()
    attempt = make_attempt(
        AttemptState.RUNNING, started_at=now - timedelta(seconds=50), deadline_at=now + timedelta(seconds=50)
    )
    html = page(admin_client, attempt.job)
    assert '<progress class="bar" max="100.0" value="50.0"' in html


def test_a_cancel_that_is_under_way_says_who_asked(admin_client):
    job = make_attempt(AttemptState.RUNNING).job
    operations.cancel(job.pk, who="berta")
    assert "berta asked to cancel it" in page(admin_client, job)


# --- what happened ---


def test_the_timeline_goes_from_the_submission_to_the_end(admin_client):
    now = timezone.now()
    job = operations.submit(make_template(), who="anna")
    attempt = make_attempt(
        AttemptState.ENDED,
        job=job,
        outcome=Outcome.USER,
        exit_code=3,
        claimed_at=now + timedelta(seconds=1),
        started_at=now + timedelta(seconds=4),
        finished_at=now + timedelta(seconds=10),
        ended_at=now + timedelta(seconds=11),
    )
    JobEvent.objects.create(
        job=job, attempt_number=1, kind="created", at=now + timedelta(seconds=3), who="worker 7"
    )
    ContainerJob.objects.filter(pk=job.pk).update(
        status=JobStatus.FAILED, started_at=attempt.started_at, completed_at=attempt.ended_at, exit_code=3
    )
    html = head(admin_client, job).content.decode()
    places = [
        html.index(f">{label}<")
        for label in ("Submitted", "Claimed", "Container created", "Started", "Exited", "Ended")
    ]
    assert places == sorted(places)
    assert "by anna" in html
    assert "by worker 7" in html
    assert "exit code 3" in html
    assert "6.0 s" in html  # from its start to its exit


def test_a_part_that_has_not_changed_is_not_sent_again(admin_client):
    job = make_attempt(AttemptState.RUNNING, started_at=timezone.now()).job
    first = head(admin_client, job)
    address = reverse("admin:part_job_head", args=[job.pk])
    again = admin_client.get(address, HTTP_HX_REQUEST="true", HTTP_X_PART=first["X-Part"])
    assert again.status_code == 204


@pytest.mark.parametrize("tab", [tab for tab in TABS if tab != "logs"])
def test_the_parts_of_an_ended_job_stop_asking(admin_client, tab):
    job = make_attempt(AttemptState.ENDED, outcome=Outcome.USER, job=make_job(status=JobStatus.FAILED)).job
    part = admin_client.get(reverse("admin:part_job_tab", args=[job.pk, tab]), HTTP_HX_REQUEST="true")
    assert (head(admin_client, job).status_code, part.status_code) == (286, 286)


# --- how much it costs ---


def crowded_job() -> ContainerJob:
    """A hundred attempts, seven events of each, and 10,000 readings of the last."""
    host, job = make_host("crowded"), make_job()
    for _ in range(100):
        attempt = make_attempt(AttemptState.ENDED, job=job, host=host, outcome=Outcome.USER)
    JobEvent.objects.bulk_create(
        JobEvent(job=job, attempt_number=number, kind="running", at=timezone.now())
        for number in range(1, 101)
        for _ in range(7)
    )
    now = timezone.now()
    UsageSample.objects.bulk_create(
        UsageSample(attempt=attempt, at=now + timedelta(seconds=place), memory_bytes=place, cpu_seconds=place)
        for place in range(10_000)
    )
    return job


def test_a_page_costs_the_same_for_one_attempt_and_for_a_hundred(admin_client):
    small = make_attempt(AttemptState.ENDED, outcome=Outcome.USER, job=make_job(status=JobStatus.FAILED)).job
    big = crowded_job()
    ContainerJob.objects.filter(pk=big.pk).update(status=JobStatus.FAILED)
    for tab in TABS:
        page(admin_client, small, tab)
        assert queries(admin_client, big, tab) == queries(admin_client, small, tab) <= 16, tab
    html = page(admin_client, big, "attempts")
    assert html.count("<tr data-row>") == 100


def test_a_page_of_a_job_that_waits_costs_the_same_for_one_host_and_for_many(admin_client):
    make_host("h0")
    job = make_job()
    page(admin_client, job)
    few = queries(admin_client, job, "configuration")
    for number in range(1, 30):
        make_host(f"h{number}")
    assert queries(admin_client, job, "configuration") == few


def test_no_page_reads_logs_or_excerpts(admin_client):
    job = make_attempt(AttemptState.ENDED, outcome=Outcome.USER, job=make_job(status=JobStatus.FAILED)).job
    for tab in TABS[1:]:
        with CaptureQueriesContext(connection) as seen:
            page(admin_client, job, tab)
        read = " ".join(query["sql"] for query in seen)
        assert "jobs_logchunk" not in read
        assert "jobs_containerexecution" not in read


def cpu_seconds(ask: Callable[[], object]) -> float:
    """What it costs this thread at best: the clock on the wall tells of others, too."""
    costs = []
    for _ in range(4):
        began = time.thread_time()
        ask()
        costs.append(time.thread_time() - began)
    return min(costs)


def test_pages_and_charts_of_a_crowded_job_take_less_than_a_tenth_of_a_second(admin_client):
    job = crowded_job()
    ContainerJob.objects.filter(pk=job.pk).update(status=JobStatus.FAILED)
    asks = {tab: partial(page, admin_client, job, tab) for tab in TABS}
    asks["chart"] = partial(admin_client.get, reverse("admin:job_chart", args=[job.pk, "cpu"]))
    assert [name for name, ask in asks.items() if cpu_seconds(ask) > 0.1] == []


def test_a_chart_of_10000_readings_has_few_points(admin_client):
    job = crowded_job()
    answer = admin_client.get(reverse("admin:job_chart", args=[job.pk, "memory"])).json()
    assert len(answer["times"]) <= 240
    assert answer["series"][0]["values"][-1] == 9999

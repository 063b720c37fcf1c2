"""The list of jobs: what it shows, finds and tells of while it is open."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from admin_ui.pages.jobs import search, tabs
from jobs.models import Attempt, ContainerJob, JobEvent, Tally
from jobs.states import AttemptState, JobStatus
from tests.admin_ui.job_lists import NOW, link, make_jobs, names, names_in, page
from tests.jobs.attempts import make_attempt
from tests.support.factories import make_host, make_job, make_template

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fresh_counts(monkeypatch):
    monkeypatch.setattr(tabs, "KEPT_SECONDS", 0.0)


# --- what is shown ---


def test_a_row_says_what_the_job_is_and_why_it_waits_or_failed(admin_client):
    host, template = make_host("berlin"), make_template("nightly")
    running = make_attempt(AttemptState.RUNNING, job=make_job(template, name="runs"), host=host)
    ContainerJob.objects.filter(pk=running.job_id).update(started_at=NOW)
    failed = make_job(template, name="broke", status=JobStatus.FAILED, exit_code=3)
    ContainerJob.objects.filter(pk=failed.pk).update(
        failure_message="It ended with exit code 3.",
        started_at=NOW,
        completed_at=NOW + timedelta(seconds=75),
    )
    make_job(template, name="waits", hold="stopped")
    JobEvent.objects.create(job=failed, kind="submitted", who="cron")
    content = page(admin_client)
    assert names_in(content) == ["waits", "broke", "runs"]
    for words in ("berlin", "It ended with exit code 3.", "1 min 15 s", "Stopped by a person", "cron"):
        assert words in content
    assert f'<time datetime="{NOW.isoformat()}" data-time="since">' in content


def test_a_pending_job_that_nobody_will_take_says_so(admin_client):
    make_job()
    assert "No supervisor is running" in page(admin_client)


def test_how_far_a_pull_is_stands_beside_the_name(admin_client):
    make_attempt(AttemptState.PULLING, phase="Pulling busybox:1: 3 of 7 layers")
    assert "Pulling busybox:1: 3 of 7 layers" in page(admin_client)


def test_an_empty_list_says_what_to_do(admin_client):
    assert reverse("admin:job_new") in page(admin_client)
    assert "No job is like that" in page(admin_client, status="failed")


def test_no_value_of_an_environment_is_read_or_shown(admin_client):
    make_job(override_environment={"A": "a value"}, secret_environment={"B": "a secret"})
    with CaptureQueriesContext(connection) as queries:
        content = page(admin_client)
    assert "a value" not in content
    assert "a secret" not in content
    assert not [one for one in queries if "environment" in one["sql"]]


def test_many_jobs_take_as_many_queries_as_one(admin_client):
    host = make_host()

    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            page(admin_client, within="30d", q="a")
        return len(queries)

    make_attempt(AttemptState.RUNNING, job=make_job(name="a"), host=host)
    make_job(name="a pending one")
    counted = count()
    for number in range(5):
        make_attempt(AttemptState.RUNNING, job=make_job(make_template(f"t{number}"), name="a"), host=host)
        make_job(name="a pending one")
    assert count() == counted


def test_who_may_not_see_jobs_is_refused(client):
    for name in ("admin:jobs", "admin:part_jobs"):
        assert client.get(reverse(name)).status_code == 302
    client.force_login(User.objects.create_user("clerk", is_staff=True))
    for name in ("admin:jobs", "admin:part_jobs"):
        assert client.get(reverse(name)).status_code == 403


def test_who_may_only_look_is_offered_no_act(client):
    make_job()
    user = User.objects.create_user("viewer", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(user)
    content = page(client)
    assert 'name="id"' not in content
    assert "/jobs/act/" not in content
    assert reverse("admin:job_new") not in content


# --- tabs ---


def test_tabs_count_open_jobs_now_and_ended_runs_of_a_day(admin_client):
    make_jobs(3)
    make_jobs(2, status=JobStatus.RUNNING)
    figures = dict.fromkeys(("seconds", "log_bytes", "within_1s", "within_10s", "within_1m"), 0)
    figures |= dict.fromkeys(("within_10m", "within_1h", "beyond_1h"), 0)
    minutes = datetime.now(UTC).replace(second=0, microsecond=0)
    for outcome, count, age in (
        ("oom", 2, 1),
        ("infra", 3, 2),
        ("succeeded", 1500, 3),
        ("user", 9, 24 * 60 + 5),
    ):
        minute = minutes - timedelta(minutes=age)
        Tally.objects.create(
            minute=minute, host_name="h", template_name="t", outcome=outcome, count=count, **figures
        )
    queries = dict.fromkeys(["", *JobStatus.values], "")
    counts = {tab.status: tab.count for tab in tabs.tabs("", queries)}
    expected = {"": "", "pending": "3", "starting": "0", "running": "2", "completed": "1,500"}
    assert counts == {**expected, "failed": "5", "timeout": "0", "cancelled": "0"}


def test_a_long_queue_is_not_counted_to_its_end(monkeypatch):
    monkeypatch.setattr(tabs, "COUNTED", 2)
    make_jobs(3)
    queries = dict.fromkeys(["", *JobStatus.values], "")
    assert {tab.status: tab.count for tab in tabs.tabs("", queries)}["pending"] == "2+"


# --- filters ---


@pytest.fixture
def varied() -> dict[str, str]:
    """Jobs that differ in one thing each, and what their host and template are called."""
    host, other = make_host("berlin"), make_host("paris")
    gpu = make_template("gpu-work", required_labels={"gpu": ["a100", "h100"]}, limit_key="licence")
    plain = make_template("plain")
    make_job(plain, name="waits")
    make_job(gpu, name="of template")
    make_job(plain, host, name="pinned")
    make_attempt(AttemptState.RUNNING, job=make_job(plain, name="ran there"), host=host)
    make_attempt(AttemptState.RUNNING, job=make_job(plain, name="ran elsewhere"), host=other)
    make_job(plain, name="limited", limit_key="db")
    make_job(plain, name="broke", status=JobStatus.FAILED, exit_code=137)
    make_job(plain, name="well", status=JobStatus.COMPLETED, exit_code=0)
    make_job(plain, name="100% Sure")
    long, short = make_job(plain, name="took long"), make_job(plain, name="took a moment")
    hours = datetime.now(UTC) - timedelta(hours=3)
    for job, seconds in ((long, 7300), (short, 7100)):
        ended = hours + timedelta(seconds=seconds)
        ContainerJob.objects.filter(pk=job.pk).update(
            started_at=hours, completed_at=ended, status="completed"
        )
    still = make_job(plain, name="still runs", status=JobStatus.RUNNING)
    ContainerJob.objects.filter(pk=still.pk).update(started_at=hours)
    old = make_job(plain, name="old")
    ContainerJob.objects.filter(pk=old.pk).update(created_at=NOW)
    return {"host": str(host.pk), "template": str(gpu.pk)}


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"status": "failed"}, ["broke"]),
        ({"template": "gpu-work"}, ["of template"]),
        ({"host": "berlin"}, ["ran there", "pinned"]),
        ({"host": "berlin", "status": "pending"}, ["pinned"]),
        ({"key": "db"}, ["limited"]),
        ({"key": "licence"}, ["of template"]),
        ({"key": "gpu"}, ["of template"]),
        ({"key": "gpu=h100"}, ["of template"]),
        ({"key": "gpu=t4"}, []),
        ({"exit": "137"}, ["broke"]),
        ({"exit": "!0"}, ["broke"]),
        ({"exit": "0"}, ["well"]),
        ({"longer": "2h"}, ["still runs", "took long"]),
        ({"longer": "7000"}, ["still runs", "took a moment", "took long"]),
        ({"q": "RAN"}, ["ran elsewhere", "ran there"]),
        ({"q": "gpu"}, ["of template"]),
        ({"q": "100%"}, ["100% Sure"]),
        ({"q": "'; --"}, []),
        ({"created_to": "2026-01-31T12:00"}, ["old"]),
        ({"created_from": "2026-01-31T12:00:00", "created_to": "2026-01-31T12:00:00"}, ["old"]),
        ({"created_from": "2026-01-31T12:00:01", "created_to": "2026-02-01T00:00"}, []),
        ({"within": "24h", "status": "failed"}, ["broke"]),
        ({"q": "o", "status": "failed", "exit": "137", "template": "plain", "within": "1h"}, ["broke"]),
    ],
    ids=str,
)
def test_each_filter_finds_its_jobs_and_no_others(admin_client, varied, filters, expected):
    assert names(admin_client, **filters) == expected


def test_a_host_and_a_template_may_be_given_by_key_and_a_job_by_its_id(admin_client, varied):
    assert names(admin_client, host=varied["host"]) == ["ran there", "pinned"]
    assert names(admin_client, template=varied["template"]) == ["of template"]
    job = ContainerJob.objects.get(name="limited")
    assert names(admin_client, q=f" {job.pk} ") == ["limited"]
    assert names(admin_client, q=str(job.pk), status="failed") == []


def test_a_host_with_many_jobs_is_looked_up_job_by_job_with_the_same_result(
    admin_client, varied, monkeypatch
):
    monkeypatch.setattr(search, "_FEW", 1)
    assert names(admin_client, host="berlin") == ["ran there", "pinned"]
    assert names(admin_client, host="berlin", status="running") == ["ran there"]


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ({"template": "nope"}, "There is no template nope."),
        ({"host": "<b>"}, "There is no host &lt;b&gt;."),
        ({"status": "gone"}, "Select a valid choice"),
        ({"exit": "x"}, "An exit code is a number"),
        ({"exit": "99999999999"}, "An exit code is a number"),
        ({"longer": "soon"}, "Say how long"),
        ({"created_from": "yesterday"}, "Enter a valid date/time."),
        ({"created_from": "2026-01-02T00:00", "created_to": "2026-01-01T00:00"}, "It ends before it begins."),
        ({"q": "a\0"}, "Null characters are not allowed."),
    ],
    ids=str,
)
def test_a_filter_that_cannot_be_understood_is_named_and_lists_nothing(admin_client, filters, words):
    make_job(name="any")
    content = page(admin_client, **filters)
    assert words in content
    assert names_in(content) == []
    assert names_in(page(admin_client, "admin:part_jobs", **filters)) == []


def test_filters_are_kept_by_tabs_and_pages_and_can_be_taken_off_one_by_one(admin_client):
    make_jobs(search.PAGE + 1)
    content = page(admin_client, template="t", longer="", q="")
    assert f'href="{reverse("admin:jobs")}?status=failed&amp;template=t"' in content
    assert link(content, "next")["template"] == "t"
    assert "Remove the filter Template: t" in content


# --- pages ---


# --- live ---


def live(client, content: str, **headers: str):
    """The answer that the page's live part gets."""
    url = re.search(r'id="jobs" class="live" data-live hx-get="([^"]+)"', content)
    assert url
    return client.get(url[1].replace("&amp;", "&"), headers={"hx-request": "true", **headers})


def test_rows_change_in_place_and_new_ones_are_told_of_instead_of_pushing_them_down(admin_client):
    jobs = make_jobs(3)
    content = page(admin_client)
    first = live(admin_client, content)
    assert names_in(first.content.decode()) == ["2", "1", "0"]
    unchanged = live(admin_client, content, **{"x-part": first["X-Part"]})
    assert unchanged.status_code == 204
    ContainerJob.objects.filter(pk=jobs[1].pk).update(status=JobStatus.RUNNING)
    for name in ("new", "newer"):
        make_job(name=name)
    changed = live(admin_client, content, **{"x-part": first["X-Part"]})
    words = changed.content.decode()
    assert changed.status_code == 200
    assert names_in(words) == ["2", "1", "0"]
    assert "2 new jobs" in words
    assert "state-running" in words


def test_only_new_jobs_that_match_are_told_of(admin_client):
    make_job(name="one", status=JobStatus.FAILED)
    content = page(admin_client, status="failed")
    make_job(name="pending")
    assert "new job" not in live(admin_client, content).content.decode()
    make_job(name="two", status=JobStatus.FAILED)
    assert "1 new job<" in live(admin_client, content).content.decode()


def test_an_empty_tab_tells_of_new_jobs_too(admin_client):
    make_job(name="pending")
    content = page(admin_client, status="failed")
    make_job(name="broken", status=JobStatus.FAILED)
    words = live(admin_client, content).content.decode()
    assert "1 new job<" in words
    assert names_in(words) == []


def test_a_page_further_back_stays_there(admin_client, monkeypatch):
    monkeypatch.setattr(search, "PAGE", 2)
    make_jobs(5)
    content = page(admin_client, **link(page(admin_client), "next"))
    make_job(name="new")
    words = live(admin_client, content).content.decode()
    assert names_in(words) == ["2", "1"]
    assert "new job" not in words


def test_the_menu_leads_to_the_list(admin_client):
    assert f'href="{reverse("admin:jobs")}" data-go="j" aria-current="page"' in page(admin_client)
    assert Attempt.objects.count() == 0


def test_django_s_own_list_of_jobs_counts_no_further_than_it_must(admin_client, monkeypatch):
    from admin_ui.admin import bases

    monkeypatch.setattr(bases, "COUNTED", 2)
    make_jobs(3)
    with CaptureQueriesContext(connection) as queries:
        page(admin_client, "admin:jobs_containerjob_changelist")
    counts = [one["sql"] for one in queries if "COUNT(" in one["sql"] and "jobs_containerjob" in one["sql"]]
    assert counts
    assert all("LIMIT 2" in sql for sql in counts)

"""The pages of templates: how they did, where they may run, and what may be done with them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from jobs.models import ContainerJob, ContainerTemplate, EnvironmentVariable, NetworkAssignment, Tally
from tests.admin_ui.people import client_of
from tests.jobs.attempts import take
from tests.jobs.test_flat_cost import long_reads, statements
from tests.support.factories import make_host, make_job, make_template

pytestmark = pytest.mark.django_db


def tally(template: ContainerTemplate, outcome: str, count: int, **within: int) -> None:
    spans = dict.fromkeys(("within_1s", "within_10s", "within_1m", "within_10m", "within_1h", "beyond_1h"), 0)
    minute = timezone.now().replace(second=0, microsecond=0) - timedelta(days=1)
    Tally.objects.create(
        minute=minute,
        host_name="h",
        template_name=template.name,
        outcome=outcome,
        count=count,
        seconds=count,
        log_bytes=0,
        **{**spans, **within},
    )


def listed(client, **query: str) -> dict:
    answer = client.get(reverse("admin:part_templates"), query)
    return {row["template"].name: row for row in answer.context["rows"]}


def detail(client, template: ContainerTemplate, name: str = "template"):
    answer = client.get(reverse(f"admin:{name}", args=[template.pk]))
    assert answer.status_code == 200
    return answer


def act(client, template: ContainerTemplate, verb: str, *, method: str = "post", **headers: str):
    return getattr(client, method)(reverse("admin:template_act", args=[template.pk, verb]), headers=headers)


# ── the list ──────────────────────────────────────────────────────────────────────────────────────────────


def test_each_template_is_told_with_its_week_and_its_last_job(admin_client):
    host = make_host("a", state="online", seen_at=timezone.now())
    take(host)
    template = make_template("nightly")
    make_template("gpu", required_labels={"gpu": "a100"})
    tally(template, "succeeded", 9, within_10s=9)
    tally(template, "user", 1, within_1h=1)
    make_job(template, status="completed")
    newest = make_job(template, status="failed")
    rows = listed(admin_client)
    row = rows["nightly"]
    assert (row["stats"].rate, row["stats"].usual, row["stats"].slow) == (
        "90.0 %",
        "within 10 s",
        "within 1 h",
    )
    assert (row["stats"].runs, sum(row["stats"].line)) == (10, 10)
    assert row["newest"]["pk"] == newest.pk
    assert (row["place"].hosts, row["place"].of) == (1, 1)
    assert (rows["gpu"]["newest"], rows["gpu"]["stats"].rate, rows["gpu"]["place"].hosts) == (None, "", 0)
    assert "lacks the label gpu" in rows["gpu"]["place"].blocked


def test_search_and_shelf_are_in_the_address(admin_client):
    make_template("nightly-report", description="For the morning mail")
    make_template("import", docker_image="registry.example/orders:1")
    make_template("old", archived_at=timezone.now())
    assert set(listed(admin_client)) == {"nightly-report", "import"}
    assert set(listed(admin_client, q="MAIL")) == {"nightly-report"}
    assert set(listed(admin_client, q="orders import")) == {"import"}
    assert set(listed(admin_client, show="archived")) == {"old"}
    assert set(listed(admin_client, show="all")) == {"nightly-report", "import", "old"}
    assert listed(admin_client, q="nothing\0", page="99", show="?") == {}
    assert (
        "No template fits" in admin_client.get(reverse("admin:templates"), {"q": "nothing"}).content.decode()
    )


def test_pages_keep_what_was_searched_for(admin_client, monkeypatch):
    monkeypatch.setattr("admin_ui.pages.templates.PAGE_SIZE", 2)
    for number in range(5):
        make_template(f"t{number}")
    answer = admin_client.get(reverse("admin:templates"), {"q": "t", "page": "2"})
    assert [row["template"].name for row in answer.context["rows"]] == ["t2", "t3"]
    text = answer.content.decode()
    assert "?q=t&amp;page=3" in text
    assert "q=t&amp;page=2" in text, "its live part asks for the same"


def test_many_templates_cost_the_queries_of_one(admin_client):
    make_host("a")
    counts = []
    for number in range(3):
        template = make_template(f"t{number}", memory_limit=64)
        NetworkAssignment.objects.create(template=template, network_name="n")
        EnvironmentVariable.objects.create(template=template, key="A", value="b")
        tally(template, "succeeded", 1)
        for _ in range(3):
            make_job(template)
        listed(admin_client)
        detail(admin_client, template)
        for ask in (lambda: listed(admin_client), lambda: detail(admin_client, template)):  # noqa: B023
            with CaptureQueriesContext(connection) as queries, statements() as seen:
                ask()
            counts.append(len(queries))
            assert [line for statement in seen for line in long_reads(statement)] == []
    assert counts == counts[:2] * 3
    assert max(counts) <= 15


# ── one of them ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_secret_is_never_shown(admin_client):
    template = make_template(command="sh -c 'echo a b'", entrypoint="/init")
    for key, value, is_secret in (
        ("TOKEN", "t0psecret", True),
        ("EMPTY", "", True),
        ("PLAIN", "visible", False),
        ("DB_PASSWORD", "hunter2", False),
    ):
        EnvironmentVariable.objects.create(template=template, key=key, value=value, is_secret=is_secret)
    answer = detail(admin_client, template)
    text = answer.content.decode()
    assert "t0psecret" not in text
    assert "hunter2" not in text, "its name says that it is one"
    assert "visible" in text
    assert [(one["key"], one["is_set"]) for one in answer.context["variables"]] == [
        ("DB_PASSWORD", True),
        ("EMPTY", False),
        ("PLAIN", True),
        ("TOKEN", True),
    ]
    assert answer.context["argv"] == ["/init", "sh", "-c", "echo a b"]


def test_a_command_that_cannot_be_read_is_said(admin_client):
    template = make_template()
    ContainerTemplate.objects.update(command="sh -c 'open")
    assert detail(admin_client, template).context["argv"] is None


def test_it_says_which_hosts_can_run_it_and_why_not(admin_client):
    take(make_host("a", state="online", seen_at=timezone.now()))
    make_host("b", state="unreachable")
    places = detail(admin_client, make_template(), "part_template").context["places"]
    assert [(one.host, bool(one.why_not)) for one in places.hosts] == [("a", False), ("b", True)]


def test_the_chart_is_of_this_template_alone(admin_client):
    template, other = make_template("one"), make_template("other")
    tally(template, "succeeded", 2)
    tally(other, "user", 5)
    chart = admin_client.get(reverse("admin:chart_template", args=[template.pk])).json()
    assert chart["summary"] == "2 runs ended in the last 7 days, 0 of them failed."
    assert detail(admin_client, template).context["stats"].rate == "100 %"


# ── acts ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_test_run_submits_a_job_and_opens_its_page(admin_client):
    template = make_template("nightly")
    assert "One job of this template" in act(admin_client, template, "run", method="get").content.decode()
    assert not ContainerJob.objects.exists()
    answer = act(admin_client, template, "run", **{"HX-Request": "true"})
    job = ContainerJob.objects.get()
    assert answer["HX-Redirect"] == reverse("admin:job", args=[job.pk])
    assert (job.template, job.name, job.created_by.username) == (template, "Test run of nightly", "admin")
    assert job.events.get().who == "admin"
    without_scripts = act(admin_client, template, "run")
    assert without_scripts.status_code == 302


def test_archiving_and_taking_back_is_noted_in_its_history(admin_client):
    template = make_template()
    for verb, is_archived in (("archive", True), ("unarchive", False)):
        act(admin_client, template, verb)
        template.refresh_from_db()
        assert bool(template.archived_at) == is_archived
    assert [entry.get_change_message() for entry in LogEntry.objects.order_by("pk")] == [
        "Archived.",
        "Taken back into use.",
    ]
    answer = act(admin_client, template, "unarchive", **{"HX-Request": "true"})
    assert "not archived" in answer["HX-Trigger"]


def test_an_archived_template_is_not_run(admin_client):
    template = make_template(archived_at=timezone.now())
    answer = act(admin_client, template, "run", **{"HX-Request": "true"})
    assert "was archived" in answer["HX-Trigger"]
    assert not ContainerJob.objects.exists()
    assert (
        reverse("admin:template_act", args=[template.pk, "run"])
        not in detail(admin_client, template).content.decode()
    )


def test_who_may_only_look_sees_no_jobs_nor_hosts_and_can_press_nothing():
    take(make_host("secret-host", state="online"))
    template = make_template("seen")
    make_job(template, name="secret-job")
    client = client_of("jobs.view_containertemplate")
    for text in (
        detail(client, template).content.decode(),
        client.get(reverse("admin:templates")).content.decode(),
    ):
        assert "seen" in text
        assert "secret-" not in text
        assert "Archive it" not in text
    for verb in ("run", "archive", "unarchive"):
        assert act(client, template, verb).status_code == 403
        assert act(client, template, verb, method="get").status_code == 403
    assert client.get(reverse("admin:chart_template", args=[template.pk])).status_code == 403
    assert ContainerJob.objects.count() == 1


def test_the_editor_leads_back_to_the_templates_page(admin_client):
    template = make_template()
    url = reverse("admin:jobs_containertemplate_change", args=[template.pk])
    form = admin_client.get(url)
    assert "word by word" in form.content.decode()
    fields = form.context["adminform"].form.initial
    empty = {"environment_variables": 0, "network_assignments": 0}
    management = {f"{name}-{kind}_FORMS": "0" for name in empty for kind in ("TOTAL", "INITIAL")}
    posted = {
        name: value for name, value in fields.items() if isinstance(value, str | int) and value is not False
    }
    answer = admin_client.post(url, {**posted, **management, "description": "new"})
    assert answer.status_code == 302, answer.context["errors"]
    assert answer["Location"] == reverse("admin:template", args=[template.pk])
    template.refresh_from_db()
    assert template.description == "new"

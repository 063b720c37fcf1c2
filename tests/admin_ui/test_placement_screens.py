"""Placement and limits, as people see and set them: pages and commands."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db.models.functions import Now
from django.urls import reverse

from hosts.models import DockerHost, HostState
from jobs.models import ConcurrencyLimit, ContainerJob, ContainerTemplate
from tests.admin_ui.commands import hosts, jobs
from tests.jobs.attempts import claim, make_attempt, take
from tests.support.factories import make_host, make_job, make_template

pytestmark = pytest.mark.django_db

GPU = {"required_labels": {"gpu": "a100"}, "preferred_labels": {"zone": "eu"}}


@pytest.fixture
def three() -> tuple[DockerHost, ...]:
    """One without the label, a full one, and one that takes it."""
    some = {"state": HostState.ONLINE, "seen_at": Now()}
    plain = make_host("plain", weight=900, **some)
    full = make_host("full", labels={"gpu": "a100", "zone": "eu"}, max_concurrent_jobs=1, **some)
    free = make_host("free", labels={"gpu": "a100"}, weight=10, **some)
    for host in (plain, full, free):
        take(host)
    make_attempt(job=make_job(), host=full)
    return plain, full, free


def test_explain_tells_for_each_host_why_it_takes_a_job_or_not(three):
    job = make_job(make_template("gpu", memory_limit=512, **GPU))
    text = jobs("explain", str(job.pk)).text
    assert "Verdict         Host free takes it, when it is its turn" in text
    lines = [re.split(" {2,}", line) for line in text.split("HOST", 1)[1].splitlines()[1:]]
    assert lines == [
        ["free", "10", "10", "first"],
        ["full", "100", "0", "no", "is full (1 of 1 slots)"],
        ["plain", "900", "10", "no", "lacks the label gpu=a100"],
    ]


def test_explain_and_the_claims_of_each_host_agree(three):
    ConcurrencyLimit.objects.create(key="db", max_concurrent=5)
    job = make_job(make_template("gpu", **GPU), limit_key="db")
    found = jobs("explain", str(job.pk), "--json").json
    takes = {one["host"] for one in found["hosts"] if not one["why_not"]}
    assert takes == {"free"}
    assert found["limits"] == [{"limit": "db", "max_concurrent": 5, "running": 0}]
    for host in three:
        host.lease.__class__.objects.filter(host=host).delete()
        room = host.max_concurrent_jobs - host.attempts.count()
        claimed = {one.job_id for one in claim(take(host), host, room)}
        assert (job.pk in claimed) is (host.name in takes)


@pytest.mark.parametrize(
    ("fields", "verdict"),
    [
        ({"hold": "stopped"}, "Stopped by a person; start it again"),
        (
            {"status": "completed"},
            "It is completed, so nobody claims it; the hosts are judged as if it waited",
        ),
        ({"limit_key": "none"}, "The limit none lets no job start (it is 0)"),
    ],
)
def test_explain_says_what_the_job_itself_waits_for(three, fields, verdict):
    ConcurrencyLimit.objects.create(key="none", max_concurrent=0)
    job = make_job(**fields)
    assert jobs("explain", str(job.pk), "--json").json["verdict"] == verdict


def test_explain_of_an_unknown_job_is_not_found():
    assert jobs("explain", "00000000-0000-7000-8000-000000000000").code == 4


def test_explain_without_hosts_says_what_to_do():
    result = jobs("explain", str(make_job().pk))
    assert "There is no host" in result.text
    assert "manage_docker_host add" in result.stderr


def test_limits_are_set_listed_and_taken_away():
    assert "No limits" in jobs("limits").stderr
    assert jobs("limit", "db", "--max", "2").code == 0
    jobs("limit", "db", "--max", "3")
    make_attempt(job=make_job(limit_key="db"), host=make_host())
    listed = {"key": "db", "running": 1, "max_concurrent": 3, "note": ""}
    assert jobs("limits", "--json").json == [listed]
    assert "db" in jobs("limits").text
    jobs("limit", "db", "--none")
    assert not ConcurrencyLimit.objects.exists()
    assert jobs("limit", "db").code == 2


def test_a_job_is_created_with_a_key_and_a_restart_keeps_it():
    make_template("t")
    jobs("create", "t", "--limit-key", "db")
    job = ContainerJob.objects.get()
    assert job.limit_key == "db"
    jobs("restart", str(job.pk))
    assert list(ContainerJob.objects.values_list("limit_key", flat=True)) == ["db", "db"]


def test_a_host_is_added_with_labels():
    hosts("add", "a", "--url", "unix:///run/a.sock", "--label", "gpu=a100", "--label", "zone=eu")
    assert DockerHost.objects.get().labels == {"gpu": "a100", "zone": "eu"}
    assert hosts("list", "--json").json[0]["labels"] == {"gpu": "a100", "zone": "eu"}
    refused = hosts("add", "b", "--url", "unix:///run/b.sock", "--label", f"gpu={'x' * 101}")
    assert refused.code
    assert "100 are allowed" in refused.stderr


# ── pages ─────────────────────────────────────────────────────────────────────────────────────────────────


def page(client: Any, model: type, name: str, *args: Any) -> str:
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=args)
    response = client.get(url)
    assert response.status_code == 200
    return response.content.decode()


def test_the_page_of_limits_shows_what_runs_and_what_waits(admin_client):
    limit = ConcurrencyLimit.objects.create(key="db", max_concurrent=7, note="one pool")
    template = make_template("keyed", limit_key="db")
    for _ in range(3):
        make_attempt(job=make_job(template), host=DockerHost.objects.first() or make_host())
    make_job(limit_key="db")
    listed = page(admin_client, ConcurrencyLimit, "changelist")
    assert '<td class="field-running_now">3</td>' in listed
    assert '<td class="field-waiting_jobs">1</td>' in listed
    assert "one pool" in page(admin_client, ConcurrencyLimit, "change", limit.pk)
    page(admin_client, ConcurrencyLimit, "add")


def test_the_page_of_a_host_shows_what_its_jobs_were_given(admin_client):
    host = make_host(engine_memory_bytes=2**31, engine_cpus=2, cpu_percent=150)
    make_attempt(job=make_job(make_template(memory_limit=512, cpu_limit="0.50")), host=host)
    shown = page(admin_client, DockerHost, "change", host.pk)
    assert "memory 512.0 MiB of 2.0 GiB; CPUs 0.5 of 3" in shown


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("required_labels", '["gpu"]', "This must be a JSON object such as"),
        ("preferred_labels", '{"zone": 1}', "Label zone must be a text such as"),
        ("max_concurrent", "0", "greater than or equal to 1"),
    ],
)
def test_a_template_that_cannot_be_placed_is_refused_in_the_form(admin_client, field, value, words):
    template = make_template()
    url = reverse("admin:jobs_containertemplate_change", args=[template.pk])
    form = admin_client.get(url).context["adminform"].form
    values = {name: form[name].value() for name in form.fields}
    posted = {name: "" if value is None else value for name, value in values.items()} | {field: value}
    formsets = {
        f"{prefix}-{name}": 0
        for prefix in ("environment_variables", "network_assignments")
        for name in ("TOTAL_FORMS", "INITIAL_FORMS")
    }
    response = admin_client.post(url, {**posted, **formsets})
    assert response.status_code == 200
    assert words in response.content.decode()
    assert ContainerTemplate.objects.get().required_labels == {}

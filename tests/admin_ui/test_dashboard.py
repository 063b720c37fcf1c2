"""The dashboard: what it counts, what it says asks for somebody, and what each viewer sees of it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from admin_ui.pages.overview import recent
from admin_ui.pages.overview.tiles import MOST_COUNTED, percent
from hosts.models import DockerHost, HostSample
from jobs.models import ContainerExecution, ContainerJob
from jobs.states import AttemptState, Outcome
from supervisor.models import SupervisorProcess
from tests.admin_ui.commands import make_supervisor
from tests.admin_ui.people import client_of
from tests.jobs.attempts import end, make_attempt, take
from tests.jobs.test_flat_cost import long_reads, statements
from tests.support.factories import make_host, make_job, make_template

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


def online(name: str, **fields) -> DockerHost:
    host = make_host(name, **{"state": "online", "seen_at": timezone.now(), **fields})
    take(host)
    return host


def board(client: Client):
    answer = client.get(reverse("admin:part_dashboard"))
    assert answer.status_code == 200
    return answer


def tiles(client: Client) -> dict[str, tuple[str, str]]:
    return {tile.label: (tile.figure, tile.url) for tile in board(client).context["tiles"]}


def concerns(client: Client) -> list[tuple[str, str]]:
    return [(one.sentence, one.remedy) for one in board(client).context["concerns"]]


def failed(text: str = "the last line\n", **fields) -> ContainerJob:
    at = fields.pop("completed_at", timezone.now())
    job = make_job(
        status="failed", exit_code=3, failure_message="It exited with 3.", completed_at=at, **fields
    )
    ContainerExecution.objects.create(job=job, attempt_number=1, stderr=text)
    return job


# ── figures ───────────────────────────────────────────────────────────────────────────────────────────────


def test_each_figure_is_a_link_to_what_it_counts(admin_client):
    make_supervisor()
    host = online("a", max_concurrent_jobs=4)
    online("b", state="unreachable")
    make_attempt(AttemptState.RUNNING, host=host)
    make_job()
    for outcome in (Outcome.SUCCEEDED, Outcome.SUCCEEDED, Outcome.USER):
        end(make_attempt(AttemptState.RUNNING, host=host, job=make_job()), outcome, template_name="t")
    jobs = reverse("admin:jobs")
    assert tiles(admin_client) == {
        "Running": ("1", f"{jobs}?status=running"),
        "Pending": ("1", f"{jobs}?status=pending"),
        "Failed runs": ("1", f"{jobs}?status=failed&within=24h"),
        "Success rate": ("66.7 %", f"{jobs}?within=24h"),
        "Hosts up": ("1 / 2", reverse("admin:hosts")),
        "Supervisor": ("Beating", reverse("admin:supervisor")),
    }


def test_an_empty_installation_says_what_to_do(admin_client):
    answer = board(admin_client).content.decode()
    assert tiles(admin_client)["Success rate"][0] == "\N{EN DASH}"
    assert "No host is in use" in answer
    assert reverse("admin:host_new") in answer
    assert "manage.py supervise" in answer


def test_a_long_queue_is_not_counted_to_its_end(admin_client, monkeypatch):
    monkeypatch.setattr("admin_ui.pages.overview.tiles.MOST_COUNTED", 3)
    for _ in range(5):
        make_job()
    assert MOST_COUNTED == 10_000
    assert tiles(admin_client)["Pending"][0] == "3+"


def test_a_rate_is_not_rounded_up_to_all():
    assert [percent(share) for share in (1.0, 0.99999, 0.5, 0.00001, 0.0)] == [
        "100 %",
        "99.9 %",
        "50.0 %",
        "0.1 %",
        "0 %",
    ]


def test_the_chart_stacks_failed_runs_on_the_others(admin_client):
    host = online("a")
    for outcome in (Outcome.SUCCEEDED, Outcome.CANCELLED, Outcome.OOM):
        end(make_attempt(AttemptState.RUNNING, host=host, job=make_job()), outcome, template_name="t")
    for address in ("", "?range=7d"):
        chart = admin_client.get(reverse("admin:chart_finished") + address).json()
        bad, fine = chart["series"]
        assert (sum(fine["values"]), sum(bad["values"]), sum(bad["drawn"])) == (2, 1, 3)
        assert len(chart["times"]) == len(fine["values"])
        assert chart["summary"].startswith("3 runs ended in the last")


def test_hosts_that_are_down_come_first_and_then_the_fullest(admin_client):
    idle, busy = online("idle"), online("busy")
    online("down", state="unreachable")
    make_host("off", is_active=False)
    make_attempt(AttemptState.RUNNING, host=busy)
    for minutes, percent_used in ((1, 50.0), (2, None), (3, 20.0)):
        at = timezone.now() - timedelta(minutes=minutes)
        HostSample.objects.create(host=idle, jobs_running=0, slots=1, at=at, cpu_percent=percent_used)
    HostSample.objects.create(host=busy, jobs_running=0, slots=1, cpu_percent=99.0)
    HostSample.objects.create(host=idle, jobs_running=0, slots=1, at=timezone.now() - HOUR, cpu_percent=1.0)
    cards = board(admin_client).context["cards"]
    assert [(card.name, card.held, card.word) for card in cards] == [
        ("down", 0, "unreachable"),
        ("busy", 1, "online"),
        ("idle", 0, "online"),
    ]
    assert (cards[2].cpu, cards[1].cpu) == ([20.0, None, 50.0], []), "one value is no line"


# ── what failed last ──────────────────────────────────────────────────────────────────────────────────────


def test_failures_are_told_with_their_last_line_newest_first(admin_client):
    old = failed("reading\n\x1b[31mno price\x1b[0m\n\n", completed_at=timezone.now() - HOUR)
    new = failed("", created_at=timezone.now() - 2 * HOUR)
    ContainerExecution.objects.filter(job=new).update(stdout="only this\r\n")
    make_job(status="completed", completed_at=timezone.now())
    rows = board(admin_client).context["failures"]
    assert [(row["id"], row["exit_code"], row["said"]) for row in rows] == [
        (new.pk, 3, "only this"),
        (old.pk, 3, "no price"),
    ]


def test_a_last_line_is_short_and_steers_nothing():
    assert recent.last_line("a\n" + "x" * 500) == "…" + "x" * 200
    assert recent.last_line("a\x1b]0;title\x07b\x00\n") == "ab\N{REPLACEMENT CHARACTER}"
    assert recent.last_line(None) == ""


# ── what asks for somebody ────────────────────────────────────────────────────────────────────────────────


def test_nothing_asks_for_anybody_when_all_is_well(admin_client):
    make_supervisor()
    online("a")
    make_job()
    assert concerns(admin_client) == []


def test_jobs_that_no_host_can_take_are_told_together_with_why(admin_client):
    make_supervisor()
    online("a")
    template = make_template(required_labels={"gpu": "a100"})
    for _ in range(3):
        make_job(template, created_at=timezone.now() - HOUR, pending_reason="No host takes it: a: lacks gpu")
    make_job(template, created_at=timezone.now() - HOUR, hold="stopped")
    assert concerns(admin_client) == [
        (
            "3 jobs wait: No host takes it: a: lacks the label gpu=a100.",
            "Change what their template asks for, or give a host what it lacks.",
        )
    ]


def test_jobs_that_wait_for_others_to_end_are_no_concern(admin_client):
    make_supervisor()
    host = online("a", max_concurrent_jobs=1)
    make_attempt(AttemptState.RUNNING, host=host)
    make_job(created_at=timezone.now() - HOUR, pending_reason="No host takes it: a is full (1 of 1 slots)")
    assert concerns(admin_client) == []


def test_a_job_that_nobody_takes_although_there_is_room_is_a_concern(admin_client):
    make_supervisor()
    online("a")
    make_job(created_at=timezone.now() - HOUR, pending_reason="There is room, but nobody took it")
    assert [sentence for sentence, _ in concerns(admin_client)] == [
        "1 job waits: There is room, but nobody took it."
    ]


@pytest.mark.parametrize(
    ("state", "fields", "sentence"),
    [
        (AttemptState.PULLING, {"claimed_at": 20}, "slow does not start on a."),
        (AttemptState.RUNNING, {"deadline_at": 3}, "slow is over its timeout on a."),
        (AttemptState.STOPPING, {"stopping_at": 3}, "slow does not stop on a."),
        (AttemptState.EXITED, {"finished_at": 6}, "The log of slow is not collected from a."),
    ],
)
def test_an_attempt_that_takes_too_long_is_a_concern(admin_client, state, fields, sentence):
    make_supervisor()
    host = online("a")
    late = {name: timezone.now() - timedelta(minutes=minutes) for name, minutes in fields.items()}
    make_attempt(state, host=host, job=make_job(name="slow"), **late)
    make_attempt(state, host=host, job=make_job(name="in time"))
    away = {**late, "unknown_since_at": timezone.now()}
    make_attempt(state, host=host, job=make_job(name="its host is away"), **away)
    assert [one for one, _ in concerns(admin_client)] == [sentence]


def test_a_grace_is_waited_for(admin_client):
    make_supervisor()
    job = make_job(make_template("patient", stop_grace_seconds=600))
    stopping_at = timezone.now() - timedelta(minutes=3)
    make_attempt(AttemptState.STOPPING, host=online("a"), job=job, stopping_at=stopping_at)
    assert concerns(admin_client) == []


# ── who sees what ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("permission", "labels"),
    [
        ("jobs.view_containerjob", ["Running", "Pending", "Failed runs", "Success rate"]),
        ("hosts.view_dockerhost", ["Hosts up"]),
        ("supervisor.view_supervisorprocess", ["Supervisor"]),
        ("jobs.view_containertemplate", []),
    ],
)
def test_a_viewer_sees_only_what_the_permissions_say(permission, labels):
    host = online("secret-host", state="unreachable")
    failed(name="secret-job")
    make_attempt(AttemptState.RUNNING, host=host, job=make_job(name="secret-job"))
    SupervisorProcess.objects.filter(pk=make_supervisor().pk).update(is_crash_looping=True)
    client = client_of(permission)
    for name in ("index", "part_dashboard"):
        answer = client.get(reverse(f"admin:{name}"))
        assert [tile.label for tile in answer.context["tiles"]] == labels
        text = answer.content.decode()
        assert ("secret-job" in text) == (permission == "jobs.view_containerjob")
        may_know_hosts = permission in ("hosts.view_dockerhost", "jobs.view_containerjob")
        assert ("secret-host" in text) == may_know_hosts, "a job's host is part of the job"
    chart = client.get(reverse("admin:chart_finished"))
    assert chart.status_code == (200 if permission == "jobs.view_containerjob" else 403)


# ── cost ──────────────────────────────────────────────────────────────────────────────────────────────────


def fill(number: int) -> None:
    host = online(f"host-{number}", engine_memory_bytes=2**34)
    down = make_host(f"down-{number}", state="unreachable", orphans=[{"id": "c"}])
    HostSample.objects.create(host=host, jobs_running=1, slots=2, cpu_percent=1.0, memory_used_bytes=1)
    template = make_template(f"t{number}", required_labels={"gpu": str(number)}, memory_limit=64)
    SupervisorProcess.objects.create(
        supervisor=host.pk,
        role="worker",
        host=host,
        pid=number + 9,
        start_ticks=1,
        machine="m",
        boot_id="b",
        is_crash_looping=True,
        failing_since_at=timezone.now(),
    )
    for _ in range(3):
        make_job(template, created_at=timezone.now() - HOUR, pending_reason=f"reason {number}")
        make_job(template, down, created_at=timezone.now() - HOUR, pending_reason=f"other {number}")
        failed(template=template)
        make_attempt(
            AttemptState.RUNNING, host=host, job=make_job(template), deadline_at=timezone.now() - HOUR
        )
        end(
            make_attempt(AttemptState.RUNNING, host=host, job=make_job(template)), template_name=template.name
        )


def test_it_costs_the_same_queries_for_many_rows(admin_client):
    make_supervisor()
    counts = []
    for number in range(4):
        fill(number)
        board(admin_client)  # what is looked up once a process
        with CaptureQueriesContext(connection) as queries:
            board(admin_client)
        counts.append(len(queries))
    assert len(set(counts)) == 1, counts
    assert counts[0] <= 20


def test_it_reads_no_table_of_jobs_to_its_end(admin_client):
    make_supervisor()
    for number in range(3):
        fill(number)
    with statements() as seen:
        board(admin_client)
        admin_client.get(reverse("admin:chart_finished"))
    lines = [line for statement in seen for line in long_reads(statement)]
    # Of this one only the first few are read: it has the order that they are wanted in.
    assert [line for line in lines if "INDEX job_newest_failures" not in line] == []


def test_failures_are_read_from_their_own_index():
    fill(1)
    with statements() as seen:
        recent.failures()
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("SET LOCAL enable_bitmapscan = off")
        explain = "EXPLAIN" if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN"
        cursor.execute(f"{explain} {seen[-1][0]}", seen[-1][1])
        plan = str(cursor.fetchall())
    assert "job_newest_failures" in plan

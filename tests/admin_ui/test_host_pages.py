"""The pages of hosts: what they show, what they ask, and what comes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from hosts.models import Availability, DockerHost, HostRequest, HostSample, RequestVerb
from jobs.models import Attempt
from supervisor.models import Role, SupervisorProcess
from tests.admin_ui.host_pages import page
from tests.support.factories import make_host, make_job

pytestmark = pytest.mark.django_db

GROWING = ("jobs_containerjob", "jobs_attempt")


def viewer(client: Client, *permissions: str) -> Client:
    user = User.objects.create_user("viewer", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)
    return client


def worker_of(host: DockerHost, **fields: object) -> SupervisorProcess:
    known = {"supervisor": uuid4(), "role": Role.WORKER, "pid": 4242, "start_ticks": 1, "state": "running"}
    return SupervisorProcess.objects.create(host=host, machine="m", boot_id="b", **{**known, **fields})


def samples_of(host: DockerHost, count: int = 30) -> None:
    now = timezone.now()
    HostSample.objects.bulk_create(
        HostSample(
            host=host,
            at=now - timedelta(seconds=60 * number),
            jobs_running=1,
            slots=10,
            cpu_percent=50.0,
            memory_used_bytes=2 * 1024**3,
            disk_free_bytes=1024**3,
        )
        for number in range(count)
    )


def test_a_host_shows_its_state_reason_worker_labels_and_lines(operator: Client) -> None:
    host = make_host(
        "alpha", state="unreachable", state_reason="it refused the connection", labels={"gpu": "a100"}
    )
    worker_of(host, restarts=2)
    samples_of(host)
    text = page(operator, "admin:hosts")
    for words in ("alpha", "Unreachable", "it refused the connection", "gpu=a100", "4242", "2 restarts"):
        assert words in text
    assert "CPU of the last 30 minutes: now 50 %, at most 50 %" in text
    assert "Memory of the last 30 minutes: now 2.0 GiB" in text


def test_a_host_without_a_living_worker_is_said_to_be_unwatched(operator: Client) -> None:
    make_host("alpha", state="online")
    make_host("off", state="online", is_active=False)
    assert page(operator, "admin:hosts").count("No worker watches it") == 1


def test_filters_are_in_the_address_and_hold_for_the_live_part(operator: Client) -> None:
    make_host("alpha", state="online")
    make_host("beta", state="unreachable", executor_type="process")
    make_host("gamma", is_active=False)
    named = {
        "?q=alp": "alpha",
        "?state=unreachable": "beta",
        "?kind=process": "beta",
        "?wanted=off": "gamma",
        "?state=online&wanted=active": "alpha",
    }
    for query, name in named.items():
        for view in ("admin:hosts", "admin:part_hosts"):
            text = page(operator, view, query=query)
            assert [one for one in ("alpha", "beta", "gamma") if f">{one}</a>" in text] == [name], query
    assert "No host is like that." in page(operator, "admin:hosts", query="?q=nothing")
    assert "parts/hosts/?q=alp" in page(operator, "admin:hosts", query="?q=alp")


def test_an_empty_list_says_what_to_do_next(operator: Client) -> None:
    text = page(operator, "admin:hosts")
    assert "There is no host yet" in text
    assert reverse("admin:host_new") in text


def test_a_hundred_hosts_take_as_many_queries_as_one(operator: Client) -> None:
    def queries(name: str, *args: object) -> int:
        with CaptureQueriesContext(
            connection,
        ) as seen:
            page(operator, name, *args)
        return len(seen)

    first = make_host("first")
    samples_of(first)
    page(operator, "admin:host", first.pk)  # what is kept for ever after is asked for once
    few = queries("admin:part_hosts"), queries("admin:host", first.pk)
    for number in range(100):
        host = make_host(f"host-{number}")
        worker_of(host, pid=number + 1)
        samples_of(host, 3)
    assert (queries("admin:part_hosts"), queries("admin:host", first.pk)) == few


ACTS: dict[str, Callable[[DockerHost], bool]] = {
    "cordon": lambda host: host.availability == Availability.CORDONED,
    "drain": lambda host: host.availability == Availability.DRAINING,
    "activate": lambda host: host.availability == Availability.ACTIVE and host.is_active,
    "off": lambda host: not host.is_active,
    "on": lambda host: host.is_active,
}


@pytest.mark.parametrize("verb", ACTS)
def test_an_act_says_how_many_and_what_and_then_does_it(operator: Client, verb: str) -> None:
    hosts = [make_host(f"host-{number}", is_active=verb != "on") for number in range(12)]
    url = f"{reverse('admin:host_act', args=[verb])}?{'&'.join(f'id={host.pk}' for host in hosts)}"
    question = operator.get(url).content.decode()
    assert "12 hosts" in question
    assert "host-0" in question
    assert "and 2 more" in question
    assert not any(ACTS[verb](DockerHost.objects.get(pk=host.pk)) for host in hosts) or verb == "activate"
    answer = operator.post(url, {"then": "wait"}, headers={"hx-request": "true"})
    assert answer.status_code == 204
    assert json.loads(answer["HX-Trigger"])["acted"]["level"] == "success"
    assert all(ACTS[verb](DockerHost.objects.get(pk=host.pk)) for host in hosts)
    assert f"{verb}" in page(operator, "admin:host", hosts[0].pk)


def test_draining_takes_a_deadline_and_what_comes_then(operator: Client) -> None:
    host = make_host("alpha")
    url = f"{reverse('admin:host_act', args=['drain'])}?id={host.pk}"
    refused = operator.post(url, {"deadline_minutes": "-1", "then": "stop"}, headers={"hx-request": "true"})
    assert "greater than or equal to 1" in refused.content.decode()
    operator.post(url, {"deadline_minutes": "30", "then": "stop"})
    host.refresh_from_db()
    assert (host.availability, host.drain_then) == ("draining", "stop")
    assert timedelta(minutes=29) < host.drain_deadline_at - timezone.now() <= timedelta(minutes=30)
    assert "drain within 30 min, then stop" in page(operator, "admin:host", host.pk)


def test_a_removed_host_is_left_for_the_list(operator: Client) -> None:
    host = make_host("alpha")
    url = f"{reverse('admin:host_act', args=['remove'])}?id={host.pk}"
    here = {"hx-request": "true", "hx-current-url": f"http://testserver/admin/hosts/{host.pk}/"}
    answer = operator.post(url, headers=here)
    assert answer["HX-Redirect"] == reverse("admin:hosts")
    assert not DockerHost.objects.filter(pk=host.pk).exists()
    assert operator.get(reverse("admin:host", args=[host.pk])).status_code == 404
    again = operator.get(url, follow=True)
    assert "None of these hosts is there any more" in again.content.decode()


def test_a_weight_is_typed_into_its_row(operator: Client) -> None:
    host = make_host("alpha")
    url = reverse("admin:host_weight", args=[host.pk])
    for typed, level, weight in (("250", "success", 250), ("0", "danger", 250), ("x", "danger", 250)):
        answer = operator.post(url, {"weight": typed}, headers={"hx-request": "true"})
        assert json.loads(answer["HX-Trigger"])["acted"]["level"] == level
        host.refresh_from_db()
        assert host.weight == weight


def test_who_may_only_look_sees_no_acts_and_is_refused_all_of_them(client: Client) -> None:
    host = make_host("alpha")
    looking = viewer(client, "view_dockerhost")
    for name, args in (("admin:hosts", ()), ("admin:host", (host.pk,)), ("admin:host_test", (host.pk,))):
        text = page(looking, name, *args)
        assert "/act/" not in text
        assert "/weight/" not in text
        assert "/new/" not in text
    for verb in ("test", "cordon", "remove"):
        url = f"{reverse('admin:host_act', args=[verb])}?id={host.pk}"
        assert looking.get(url).status_code == 403
        assert looking.post(url).status_code == 403
    assert looking.post(reverse("admin:host_weight", args=[host.pk])).status_code == 403
    assert looking.get(reverse("admin:host_new")).status_code == 403
    assert looking.get(reverse("admin:host_edit", args=[host.pk])).status_code == 403
    host.refresh_from_db()
    assert (host.availability, host.weight) == ("active", 100)


def test_who_may_change_hosts_may_not_remove_one(client: Client) -> None:
    host = make_host("alpha")
    changing = viewer(client, "view_dockerhost", "change_dockerhost")
    assert changing.get(f"{reverse('admin:host_act', args=['cordon'])}?id={host.pk}").status_code == 200
    assert changing.post(f"{reverse('admin:host_act', args=['remove'])}?id={host.pk}").status_code == 403


def test_strangers_are_sent_to_the_login(client: Client) -> None:
    for name in ("admin:hosts", "admin:host_new"):
        assert client.get(reverse(name)).status_code == 302


def test_charts_tell_of_an_hour_and_of_a_day(operator: Client) -> None:
    host = make_host("alpha", engine_memory_bytes=4 * 1024**3)
    samples_of(host, 90)
    for name, unit in (("cpu", "percent"), ("memory", "bytes"), ("jobs", "count"), ("disk", "bytes")):
        url = reverse("admin:host_chart", args=[host.pk, name])
        hour, day = operator.get(f"{url}?hours=1").json(), operator.get(f"{url}?hours=24").json()
        assert (hour["unit"], len(hour["times"]), len(day["times"])) == (unit, 60, 90)
        assert hour["times"] == sorted(hour["times"])
        assert "at most" in hour["summary"]
    nothing = operator.get(reverse("admin:host_chart", args=[make_host("beta").pk, "cpu"])).json()
    assert (nothing["times"], "nothing was told" in nothing["summary"]) == ([], True)


def request_of(host: DockerHost, **fields: object) -> HostRequest:
    expires = {"expires_at": timezone.now() + timedelta(seconds=60)}
    return HostRequest.objects.create(host=host, verb=RequestVerb.EXAMINE, by="op", **{**expires, **fields})


def test_a_test_that_nobody_takes_says_that_no_supervisor_runs(operator: Client) -> None:
    host = make_host("alpha", is_active=False)
    request = request_of(host)
    url = reverse("admin:part_host_test", args=[host.pk])
    assert "No supervisor is running" in operator.get(url).content.decode()
    request.expires_at = timezone.now() - timedelta(seconds=1)
    request.save()
    assert "No supervisor is running" in operator.get(url).content.decode()
    SupervisorProcess.objects.create(
        supervisor=uuid4(), role=Role.MASTER, pid=1, start_ticks=1, machine="m", boot_id="b"
    )
    assert "No supervisor took the test in time" in operator.get(url).content.decode()
    request.taken_at = timezone.now()
    request.save()
    assert "its supervisor ended" in operator.get(url).content.decode()


def test_a_test_shows_its_steps_with_hints(operator: Client) -> None:
    host = make_host("alpha", is_active=False)
    steps = [
        {"name": "Configuration", "state": "ok", "detail": "Docker", "hint": "", "seconds": 0.01},
        {"name": "Socket", "state": "failed", "detail": "no socket <b>", "hint": "start it", "seconds": 0.1},
        {"name": "Engine answers", "state": "skipped", "detail": "", "hint": "", "seconds": None},
    ]
    request_of(
        host, steps=steps, taken_at=timezone.now(), done_at=timezone.now(), ok=False, result="Socket: x"
    )
    for name in ("admin:host_test", "admin:host"):
        text = page(operator, name, host.pk)
        for words in ("Configuration", "no socket &lt;b&gt;", "start it", "skipped", "Socket: x"):
            assert words in text


def plans_of(client: Client, name: str, *args: object) -> list[str]:
    """How the database finds what a page reads of the tables that grow with jobs, a line for each step."""
    seen: list[tuple[str, object]] = []

    def note(execute: Callable[..., object], sql: str, params: object, many: bool, context: object) -> object:
        seen.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        page(client, name, *args)
    lines = []
    for sql, params in seen:
        if sql.lstrip().startswith("SELECT") and '"jobs_' in sql:
            with connection.cursor() as cursor:
                if connection.vendor == "postgresql":
                    for way in ("seqscan", "bitmapscan", "sort"):  # good enough where tables are small
                        cursor.execute(f"SET LOCAL enable_{way} = off")
                    cursor.execute(f"EXPLAIN {sql}", params)
                    lines += [row[0] for row in cursor.fetchall()]
                else:
                    cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
                    lines += [row[3] for row in cursor.fetchall()]
    return lines


def test_pages_read_of_what_ended_only_what_they_show(operator: Client) -> None:
    host, other, job, ago = make_host("alpha"), make_host("beta"), make_job(), timezone.now()
    ended = {"epoch": 1, "state": "ended", "outcome": "succeeded", "ended_at": ago}
    Attempt.objects.bulk_create(
        Attempt(job=job, number=n, host=other if n % 100 else host, host_name="x", **ended)
        for n in range(1, 2000)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    for name, args in (("admin:hosts", ()), ("admin:host", (host.pk,))):
        lines = plans_of(operator, name, *args)
        whole = [
            line
            for line in lines
            if any(f"{kind} {table}" in line for kind in ("SCAN", "Seq Scan on") for table in GROWING)
        ]
        assert whole == [], name
    assert any("attempt_ended_on_host" in line for line in lines), (
        "the newest of a host are found without a sort"
    )

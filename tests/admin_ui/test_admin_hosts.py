"""Hosts in the admin: what is wanted of them, and what a worker answered."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.messages import get_messages
from django.db.models.functions import Now
from django.utils import timezone

from admin_ui.admin.hosts import answer_to
from hosts.models import Availability, DockerHost, HostRequest
from tests.admin_ui.test_admin_pages import url
from tests.jobs.attempts import make_attempt
from tests.support.factories import make_host

pytestmark = pytest.mark.django_db


def act(client, action: str, *hosts: DockerHost) -> str:
    """Do a bulk action; the message it leaves."""
    form = {"action": action, "_selected_action": [host.pk for host in hosts]}
    response = client.post(url(DockerHost, "changelist"), form)
    return str(list(get_messages(response.wsgi_request))[-1])


def host_form(**fields):
    return {
        "name": "new",
        "executor_type": "docker",
        "connection_string": "unix:///run/x.sock",
        "executor_config": "{}",
        "weight": "100",
        "max_concurrent_jobs": "10",
        "labels": "{}",
        "memory_percent": "100",
        "cpu_percent": "100",
        "is_active": "on",
        "availability": "active",
        "requests-TOTAL_FORMS": "0",
        "requests-INITIAL_FORMS": "0",
        **fields,
    }


def test_a_host_is_added_and_changed(admin_client):
    assert admin_client.post(url(DockerHost, "add"), host_form()).status_code == 302
    host = DockerHost.objects.get()
    form = host_form(
        max_concurrent_jobs="3", connection_string="", executor_config='{"base_url": "tcp://e:2375"}'
    )
    assert admin_client.post(url(DockerHost, "change", host.pk), form).status_code == 302
    host.refresh_from_db()
    assert (host.max_concurrent_jobs, host.base_url) == (3, "tcp://e:2375")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"connection_string": "ftp://x"}, "must start with unix://"),
        ({"executor_config": '{"base_url": "tcp://e:1"}'}, "give one, or the same"),
        ({"executor_config": "[1]"}, "JSON object"),
        ({"weight": "0"}, "greater than or equal to 1"),
        ({"name": "a b"}, "Use letters"),
    ],
)
def test_a_host_that_cannot_work_is_refused_in_the_form(admin_client, fields, words):
    response = admin_client.post(url(DockerHost, "add"), host_form(**fields))
    assert words in response.content.decode()
    assert not DockerHost.objects.exists()


def test_the_logins_of_a_host_are_shown_without_their_passwords_and_survive_an_edit(admin_client):
    login = {"username": "ann", "password": "very-secret"}
    host = make_host("a", secret_config={"registries": {"r.example": login}})
    page = admin_client.get(url(DockerHost, "change", host.pk)).content.decode()
    assert "r.example as ann" in page
    assert "very-secret" not in page
    form = host_form(name="a", connection_string="unix:///run/y.sock")
    assert admin_client.post(url(DockerHost, "change", host.pk), form).status_code == 302
    host.refresh_from_db()
    assert host.secret_config == {"registries": {"r.example": login}}


def test_actions_write_what_is_wanted(admin_client):
    a, b = make_host("a"), make_host("b")
    assert act(admin_client, "cordon", a, b) == "a, b: cordoned."
    assert set(DockerHost.objects.values_list("availability", flat=True)) == {Availability.CORDONED}
    act(admin_client, "drain", a)
    act(admin_client, "activate", b)
    a.refresh_from_db()
    b.refresh_from_db()
    assert (a.availability, b.availability) == (Availability.DRAINING, Availability.ACTIVE)


def test_remove_names_what_it_refuses(admin_client):
    free, busy = make_host("free"), make_host("busy")
    make_attempt(host=busy)
    message = act(admin_client, "remove", free, busy)
    assert message.startswith("free: removed. busy: Host busy has 1 open job(s).")
    assert DockerHost.objects.get() == busy
    assert admin_client.post(url(DockerHost, "delete", busy.pk), {"post": "yes"}).status_code == 403


def test_a_test_is_asked_for_and_its_answer_shown(admin_client):
    host = make_host("a")
    assert "Asked for a test of a" in act(admin_client, "test_connection", host)
    request = HostRequest.objects.get()
    assert (request.verb, request.by, request.done_at) == ("test", "admin", None)
    assert timedelta(seconds=55) < request.expires_at - request.at <= timedelta(seconds=61)
    HostRequest.objects.update(taken_at=Now(), done_at=Now(), ok=True, result="version 27.1, 8 CPUs")
    assert b"version 27.1, 8 CPUs" in admin_client.get(url(DockerHost, "change", host.pk)).content


@pytest.mark.parametrize(
    ("age", "fields", "answer"),
    [
        (1, {}, "waiting for the worker"),
        (11, {}, "no worker holds this host"),
        (11, {"taken_at": timezone.now()}, "waiting for the worker"),
        (70, {"taken_at": timezone.now()}, "nobody answered in time"),
        (11, {"done_at": timezone.now(), "ok": False, "result": "refused"}, "failed: refused"),
    ],
)
def test_a_request_says_what_became_of_it(age, fields, answer):
    at = timezone.now() - timedelta(seconds=age)
    request = HostRequest(
        host=DockerHost(), verb="test", at=at, expires_at=at + timedelta(seconds=60), **fields
    )
    assert answer_to(request) == answer


def test_the_page_shows_the_newest_requests_only(admin_client):
    host = make_host("a")
    for number in range(15):
        HostRequest.objects.create(
            host=host, verb="test", by=f"person-{number}", expires_at=timezone.now(), done_at=timezone.now()
        )
    content = admin_client.get(url(DockerHost, "change", host.pk)).content.decode()
    assert content.count("person-") == 10


def test_containers_without_a_row_are_on_the_page_of_their_host(admin_client):
    one = {"id": "c1", "name": "tallyman-<x>", "state": "exited", "since": "2026-05-01T12:00:00+00:00"}
    host = make_host(orphans=[one])
    page = admin_client.get(url(DockerHost, "change", host.pk)).content.decode()
    assert "tallyman-&lt;x&gt;, exited, seen since 2026-05-01T12:00:00+00:00" in page


def test_a_policy_is_edited_and_an_empty_box_is_the_usual_one(admin_client):
    page = admin_client.post(url(DockerHost, "add"), host_form(policy='{"privileged": 1}'))
    assert b"privileged must be true or false" in page.content

    admin_client.post(url(DockerHost, "add"), host_form(policy='{"paths": ["/srv"]}'))
    host = DockerHost.objects.get()
    assert host.policy == {"paths": ["/srv"]}

    changed = admin_client.post(url(DockerHost, "change", host.pk), host_form(policy="", executor_config=""))
    host.refresh_from_db()
    assert (changed.status_code, host.policy, host.executor_config) == (302, {}, {})

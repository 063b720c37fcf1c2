"""Who acted, from where, and through which door."""

from __future__ import annotations

import os
import socket

import pytest
from django.contrib.auth.models import User
from django.test import Client, RequestFactory
from django.urls import reverse

from audit import actors, acts
from audit.actors import Actor
from audit.entries import Entry
from audit.middleware import address_of
from audit.models import AuditEvent
from audit.words import Door
from hosts.executors.contract import Observation
from supervisor.worker import audited
from supervisor.worker.orphans import Removal
from tests.admin_ui.commands import manage
from tests.admin_ui.people import client_of
from tests.audit.rows import leave, only
from tests.support.factories import make_host, make_job

FORWARDED = "203.0.113.7, 198.51.100.2, 10.0.0.5"


@pytest.mark.parametrize(
    ("proxies", "forwarded", "remote", "found"),
    [
        (0, "", "192.0.2.1", "192.0.2.1"),
        (0, FORWARDED, "192.0.2.1", "192.0.2.1"),  # anybody can send the header
        (1, FORWARDED, "192.0.2.1", "10.0.0.5"),
        (2, FORWARDED, "192.0.2.1", "198.51.100.2"),
        (3, FORWARDED, "192.0.2.1", "203.0.113.7"),
        (4, FORWARDED, "192.0.2.1", "192.0.2.1"),  # it did not come through all of them
        (1, "", "192.0.2.1", "192.0.2.1"),
        (1, "[2001:db8::1]:4711", "192.0.2.1", "2001:db8::1"),
        (1, "198.51.100.2:4711", "192.0.2.1", "198.51.100.2"),
        (1, "::ffff:198.51.100.2", "192.0.2.1", "198.51.100.2"),
        (1, "<script>", "192.0.2.1", None),
        (0, "", "", None),  # a Unix socket
    ],
)
def test_an_address_is_believed_from_our_own_proxies_only(proxies, forwarded, remote, found):
    request = RequestFactory().get("/", REMOTE_ADDR=remote)
    if forwarded:
        request.META["HTTP_X_FORWARDED_FOR"] = forwarded
    assert address_of(request, proxies) == found


@pytest.mark.django_db
def test_a_page_says_who_and_from_where(settings):
    settings.TALLYMAN_TRUSTED_PROXY_COUNT = 1
    client, job = client_of("jobs.view_containerjob", "jobs.change_containerjob"), make_job()
    address = f"{reverse('admin:job_act', args=['cancel'])}?id={job.pk}"
    client.post(address, {"ids": str(job.pk)}, headers={"X-Forwarded-For": "203.0.113.7, 10.0.0.5"})
    row = only("job.cancel")
    assert (row.actor, row.door, row.address) == ("viewer", "admin", "10.0.0.5")
    assert row.user_key == str(User.objects.get().pk)


@pytest.mark.django_db
def test_what_one_request_does_to_many_objects_is_one_act():
    client = client_of("jobs.view_containerjob", "jobs.change_containerjob")
    jobs = [make_job() for _ in range(3)]
    client.post(reverse("admin:job_act", args=["cancel"]), {"ids": " ".join(str(job.pk) for job in jobs)})
    rows = AuditEvent.objects.filter(verb="job.cancel")
    assert {row.object_key for row in rows} == {str(job.pk) for job in jobs}
    assert len({row.act_id for row in rows}) == 1


@pytest.mark.django_db
def test_what_is_posted_without_the_right_is_denied_and_told():
    client, host = client_of("hosts.view_dockerhost"), make_host()
    address = f"{reverse('admin:host_act', args=['cordon'])}?id={host.pk}"
    assert client.post(address).status_code == 403
    row = only("request.denied")
    assert (row.actor, row.outcome) == ("viewer", "denied")
    assert row.said["says"]["path"] == reverse("admin:host_act", args=["cordon"])
    assert client.get(address).status_code == 403  # to look is no act
    assert AuditEvent.objects.filter(verb="request.denied").count() == 1


@pytest.mark.django_db
def test_strangers_cannot_fill_the_table_with_denials():
    response = Client(enforce_csrf_checks=True).post(reverse("admin:login"), {"username": "x"})
    assert response.status_code == 403
    assert not AuditEvent.objects.filter(verb="request.denied").exists()


@pytest.mark.django_db
def test_a_command_says_which_user_of_the_system_ran_it_whatever_its_environment_says(monkeypatch):
    monkeypatch.setenv("LOGNAME", "somebody else")
    monkeypatch.setenv("USER", "somebody else")
    make_host("berlin")
    assert manage("manage_docker_host", "cordon", "berlin").code == 0
    row = only("host.cordon")
    assert (row.door, row.machine, row.address) == ("command", socket.gethostname(), "")
    assert row.actor == actors._name_of(os.getuid()) != "somebody else"


@pytest.mark.django_db
def test_whoever_used_sudo_is_told_too(monkeypatch):
    monkeypatch.setattr(actors, "_login_uid", lambda: 65534)
    with actors.acting(actors.command()):
        row = leave(1)[0]
    assert row.said["says"]["logged_in_as"] == actors._name_of(65534)


@pytest.mark.django_db
def test_what_nobody_asked_for_is_the_systems():
    row = leave(1, actor=actors.system("worker-a"))[0]
    assert (row.door, row.actor, row.machine) == ("system", "worker-a", socket.gethostname())


@pytest.mark.django_db
def test_an_api_may_say_that_it_is_one():
    with actors.acting(Actor(door=Door.API, name="ci")):
        acts.record(Entry(verb="job.submit"))
    assert only("job.submit").door == "api"


@pytest.mark.django_db
def test_a_container_that_a_worker_is_about_to_reap_is_told_of_before():
    host = make_host("berlin")
    seen = Observation(container_id="c1", name="left", state="running", labels={})
    audited.reaping(host, Removal(seen, "kill"), who="worker-a")
    row = only("container.reap")
    assert (row.door, row.actor, row.object_label) == ("system", "worker-a", "berlin")
    assert row.said["says"] == {"container": "left", "container_id": "c1", "how": "kill"}

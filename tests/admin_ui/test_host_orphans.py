"""Containers without a row on a host's page: listed, and removed by a request that names them."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse

from hosts.models import DockerHost, HostRequest, RequestVerb
from tests.admin_ui.host_pages import page
from tests.admin_ui.people import client_of
from tests.support.factories import make_host

pytestmark = pytest.mark.django_db


def having(**states: str) -> DockerHost:
    since = "2026-05-01T12:00:00+00:00"
    orphans = [
        {"id": f"id-{name}", "name": name, "state": state, "since": since} for name, state in states.items()
    ]
    return make_host("alpha", orphans=orphans)


def url_of(host: DockerHost) -> str:
    return reverse("admin:host_orphans", args=[host.pk])


def named_by(question: str) -> str:
    found = re.search(r'name="containers" value="([^"]*)"', question)
    assert found
    return found[1]


def test_a_host_lists_them_and_the_question_says_what_would_go_and_changes_nothing(operator: Client) -> None:
    host = having(old="exited", busy="running")
    content = page(operator, "admin:host", host.pk)
    assert "busy, running" in content
    assert url_of(host) in content
    question = operator.get(url_of(host)).content.decode()
    for words in (
        "Remove 2 containers",
        "old, exited",
        "busy, running",
        "1 of them runs, and is asked to end",
    ):
        assert words in question
    assert not HostRequest.objects.exists()


def test_only_those_that_were_named_are_asked_for(operator: Client) -> None:
    host = having(old="exited")
    named = named_by(operator.get(url_of(host)).content.decode())
    later = [*host.orphans, {**host.orphans[0], "id": "id-later", "name": "later"}]
    DockerHost.objects.update(orphans=later)
    answer = operator.post(
        url_of(host), {"containers": f"{named} id-foreign"}, headers={"hx-request": "true"}
    )
    assert "was asked to remove 1 container." in answer["HX-Trigger"]
    request = HostRequest.objects.get()
    assert (request.verb, request.args) == (RequestVerb.REAP, {"containers": ["id-old"]})
    assert "Remove containers without a row" in page(operator, "admin:host", host.pk)


def test_where_they_are_gone_by_then_nothing_is_asked(operator: Client) -> None:
    host = having(old="exited")
    DockerHost.objects.update(orphans=[])
    assert "None of these containers is there any more." in operator.get(url_of(host)).content.decode()
    operator.post(url_of(host), {"containers": "id-old"})
    assert not HostRequest.objects.exists()


def test_who_may_only_look_removes_none() -> None:
    host = having(old="exited")
    looking = client_of("hosts.view_dockerhost")
    content = page(looking, "admin:host", host.pk)
    assert "old, exited" in content
    assert url_of(host) not in content
    assert looking.get(url_of(host)).status_code == 403
    assert looking.post(url_of(host), {"containers": "id-old"}).status_code == 403
    assert not HostRequest.objects.exists()

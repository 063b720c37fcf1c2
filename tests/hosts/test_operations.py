"""What people ask of hosts is written down; a removed host is refused."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models.functions import Now

from hosts import operations, registries
from hosts.errors import ConfigurationError
from hosts.models import Availability, HostRequest, RequestVerb
from hosts.operations import HostRefused
from tests.support.factories import make_host

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("wish", "availability"),
    [
        (operations.cordon, Availability.CORDONED),
        (operations.drain, Availability.DRAINING),
        (operations.activate, Availability.ACTIVE),
    ],
)
@pytest.mark.parametrize("before", Availability)
def test_a_wish_replaces_the_one_before(wish, availability, before):
    host = make_host(availability=before)
    wish(host.id)
    host.refresh_from_db()
    assert host.availability == availability


def test_a_host_that_was_switched_off_is_switched_on_by_activate_only():
    host = make_host(is_active=False)
    for wish, is_active in ((operations.cordon, False), (operations.activate, True)):
        wish(host.id)
        host.refresh_from_db()
        assert host.is_active is is_active


@pytest.mark.parametrize("wish", [operations.cordon, operations.drain, operations.activate])
def test_a_removed_host_is_refused(wish):
    host = make_host(archived_at="2026-01-01T00:00:00Z")
    with pytest.raises(HostRefused, match="removed"):
        wish(host.id)


def test_a_test_is_asked_for_and_expires_if_nobody_takes_it():
    request = operations.request_test(make_host().id, by="ann")
    row = HostRequest.objects.annotate(now=Now()).get(pk=request.pk)
    assert (row.verb, row.by, row.taken_at, row.ok) == (RequestVerb.TEST, "ann", None, None)
    assert timedelta(seconds=55) < row.expires_at - row.now <= operations.REQUEST_LASTS


LOGIN = {"username": "ann", "password": "a-secret"}


def logins(host):
    host.refresh_from_db()
    return host.secret_config.get("registries", {})


def test_logins_at_registries_are_set_replaced_and_forgotten_one_by_one():
    host = make_host(secret_config={"other": 1})
    operations.set_registry_login(host.id, "r.example", **LOGIN)
    operations.set_registry_login(host.id, "docker.io", username="bob", password="x")
    operations.set_registry_login(host.id, "docker.io", username="eve", password="y")
    assert logins(host) == {"r.example": LOGIN, "docker.io": {"username": "eve", "password": "y"}}
    assert host.view(host.id).config["registries"] == logins(host)
    assert "a-secret" not in repr(host.view(host.id))
    operations.forget_registry_login(host.id, "docker.io")
    assert logins(host) == {"r.example": LOGIN}
    with pytest.raises(HostRefused, match=r"no login for docker\.io\. It has: r\.example\."):
        operations.forget_registry_login(host.id, "docker.io")
    operations.forget_registry_login(host.id, "r.example")
    assert logins(host) == {}
    assert host.secret_config == {"other": 1}


def test_the_password_of_a_login_is_encrypted_in_the_database():
    host = make_host()
    operations.set_registry_login(host.id, "r.example", **LOGIN)
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret_config FROM hosts_dockerhost")
        (stored,) = cursor.fetchone()
    assert stored.startswith("f1:")
    assert "a-secret" not in stored


def test_a_host_that_pulls_nothing_or_was_removed_gets_no_login():
    here = make_host("here", executor_type="process", connection_string="")
    with pytest.raises(HostRefused, match="pulls no images"):
        operations.set_registry_login(here.id, "r.example", **LOGIN)
    removed = make_host("removed", archived_at="2026-01-01T00:00:00Z")
    with pytest.raises(HostRefused, match="removed"):
        operations.set_registry_login(removed.id, "r.example", **LOGIN)


def test_passwords_do_not_belong_into_settings_that_everybody_can_read():
    host = make_host("h", executor_config={"registries": {"r.example": LOGIN}})
    with pytest.raises(ValidationError) as caught:
        host.full_clean()
    assert "registry-login h REGISTRY" in str(caught.value)
    assert "a-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("registry.example", "registry.example"),
        ("Registry.example:5000", "registry.example:5000"),
        ("https://registry.example:5000/v2/", "registry.example:5000"),
        ("localhost:5000", "localhost:5000"),
        ("builds:5000", "builds:5000"),
        ("[::1]:5000", "[::1]:5000"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("docker.io", "docker.io"),
    ],
)
def test_a_registry_is_named_as_images_name_it(given, name):
    assert registries.registry_name(given) == name


@pytest.mark.parametrize("given", ["", "library", "a b.example", "r.example:port", "user@r.example"])
def test_what_is_no_registry_is_refused(given):
    with pytest.raises(ConfigurationError, match="is no registry"):
        registries.registry_name(given)

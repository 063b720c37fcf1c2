"""Logins, and what changes people and their rights, whoever does it and through which door."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from audit.models import AuditEvent
from tests.audit.rows import newest, only, since

pytestmark = pytest.mark.django_db
LOGIN = "/admin/login/"


def test_a_login_and_a_logout_say_who_and_from_where(client: Client):
    user = User.objects.create_user("ann", password="a password", is_staff=True)
    client.post(LOGIN, {"username": "ann", "password": "a password"}, REMOTE_ADDR="192.0.2.9")
    client.post(reverse("admin:logout"), REMOTE_ADDR="192.0.2.9")
    for verb in ("user.login", "user.logout"):
        row = only(verb)
        assert (row.object_key, row.object_label, row.outcome) == (str(user.pk), "ann", "done")
        assert (row.door, row.address) == ("admin", "192.0.2.9")


def test_a_failed_login_is_told_and_neither_its_password_nor_a_name_that_nobody_has(client: Client):
    User.objects.create_user("ann", password="a password", is_staff=True)
    client.post(LOGIN, {"username": "ann", "password": "wr0ng"})
    client.post(LOGIN, {"username": "my-p4ssw0rd", "password": "ann"})
    known, unknown = AuditEvent.objects.filter(verb="user.login").order_by("seq")
    assert (known.outcome, known.object_label) == ("failed", "ann")
    assert (unknown.outcome, unknown.object_label) == ("failed", "")
    text = "".join(f"{row.details}{row.object_label}{row.actor}" for row in (known, unknown))
    assert "wr0ng" not in text
    assert "p4ssw0rd" not in text


def test_a_login_is_no_change_of_the_person(client: Client):
    User.objects.create_user("ann", password="a password", is_staff=True)
    before = newest()
    client.post(LOGIN, {"username": "ann", "password": "a password"})
    assert [row.verb for row in since(before)] == ["user.login"]


def test_making_changing_and_deleting_a_person_are_told_without_the_password():
    user = User.objects.create_user("ann", password="a password")
    user.is_staff = True
    user.set_password("another one")
    user.save()
    user.save()  # nothing new
    user.delete()
    made, changed, deleted = AuditEvent.objects.order_by("seq")
    assert made.said["after"]["username"] == "ann"
    assert made.said["says"] == {"set_anew": ["password"]}
    assert changed.said["before"] == {"is_staff": False}
    assert changed.said["after"] == {"is_staff": True}
    assert changed.said["says"] == {"set_anew": ["password"]}
    assert deleted.verb == "user.delete"
    assert all("md5" not in row.details for row in (made, changed, deleted))


def test_rights_given_and_taken_are_told_by_name():
    user, group = User.objects.create_user("ann"), Group.objects.create(name="operators")
    right = Permission.objects.get(codename="change_dockerhost")
    before = newest()
    group.permissions.add(right)
    user.groups.add(group)
    user.user_permissions.add(right)
    user.user_permissions.clear()
    group.user_set.remove(user)
    group.permissions.set([])
    told = [(row.verb, row.object_label, row.said["says"]) for row in since(before)]
    assert told == [
        ("group.rights", "operators", {"added": ["hosts.change_dockerhost"]}),
        ("user.rights", "ann", {"added": ["operators"]}),
        ("user.rights", "ann", {"added": ["hosts.change_dockerhost"]}),
        ("user.rights", "ann", {"removed": ["hosts.change_dockerhost"]}),
        ("group.rights", "operators", {"removed": ["ann"]}),
        ("group.rights", "operators", {"removed": ["hosts.change_dockerhost"]}),
    ]


def test_djangos_own_commands_and_pages_are_heard_too(admin_client: Client):
    call_command("createsuperuser", "--noinput", "--username=root2", "--email=r@example.com")
    row = AuditEvent.objects.filter(verb="user.add", object_label="root2").get()
    assert row.said["after"]["is_superuser"] is True
    admin_client.post(reverse("admin:auth_group_add"), {"name": "viewers"})
    added = AuditEvent.objects.get(verb="group.add")
    assert (added.object_label, added.actor) == ("viewers", "admin")

"""People with some permissions, and what they get to see."""

from __future__ import annotations

from django.contrib.auth.models import Permission, User
from django.test import Client


def somebody(*permissions: str, name: str = "viewer") -> User:
    """Somebody of the staff who may do these things, `app.codename` each, and nothing else."""
    user = User.objects.create_user(name, password="a password", is_staff=True)
    for permission in permissions:
        app, _, codename = permission.partition(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    return user


def client_of(*permissions: str, name: str = "viewer") -> Client:
    """The browser of such a person, logged in."""
    client = Client()
    client.force_login(somebody(*permissions, name=name))
    return client

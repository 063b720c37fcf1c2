"""The template that runs the application's own management commands."""

from __future__ import annotations

import pytest
from django.core.management import call_command

from jobs import builtin
from jobs.models import ContainerTemplate

pytestmark = pytest.mark.django_db


def test_it_is_made_once_and_then_its_owners():
    first = builtin.django_template("app:1")
    ContainerTemplate.objects.update(docker_image="mine:1", timeout_seconds=5)
    again = builtin.django_template("app:2")
    assert again.pk == first.pk
    assert (again.docker_image, again.timeout_seconds) == ("mine:1", 5)


@pytest.mark.parametrize(("image", "count"), [("app:1", 1), ("", 0)])
def test_migrating_makes_it_where_an_image_is_configured(settings, image, count):
    settings.TALLYMAN_APP_IMAGE = image
    call_command("migrate", "jobs", verbosity=0)
    call_command("migrate", "jobs", verbosity=0)
    assert ContainerTemplate.objects.filter(name="django", docker_image=image).count() == count

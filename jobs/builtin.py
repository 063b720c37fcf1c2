"""The built-in template `django`: runs management commands of the application whose image is configured."""

from __future__ import annotations

from typing import Any

from django.apps import apps as installed_apps
from django.apps.registry import Apps
from django.conf import settings

from jobs.models import ContainerTemplate

NAME = "django"
DESCRIPTION = (
    "Built in: runs `python manage.py COMMAND` in the image of the application (TALLYMAN_APP_IMAGE). "
    "`manage_container_job run-command` uses it."
)


def django_template(image: str) -> ContainerTemplate:
    """The template, made with this image if there is none; an existing one stays as it is."""
    template, _ = ContainerTemplate.objects.get_or_create(
        name=NAME, defaults={"docker_image": image, "description": DESCRIPTION}
    )
    return template


def make_after_migrate(*, using: str, apps: Apps = installed_apps, **_kwargs: Any) -> None:
    """Make the template where an image is configured; a receiver of post_migrate."""
    if not settings.TALLYMAN_APP_IMAGE:
        return
    try:
        # As the tables are now: a database may be migrated to an older state, or not at all.
        model = apps.get_model("jobs", "ContainerTemplate")
    except LookupError:
        return
    model.objects.using(using).get_or_create(
        name=NAME, defaults={"docker_image": settings.TALLYMAN_APP_IMAGE, "description": DESCRIPTION}
    )

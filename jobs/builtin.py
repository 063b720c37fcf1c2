"""The built-in template `django`: runs management commands of the application whose image is configured."""

from __future__ import annotations

from typing import Any

from django.apps import apps as installed_apps
from django.apps.registry import Apps
from django.conf import settings
from django.db import connections, transaction

from audit import acts
from audit.entries import Entry
from jobs.models import ContainerTemplate

NAME = "django"
DESCRIPTION = (
    "Built in: runs `python manage.py COMMAND` in the image of the application (TALLYMAN_APP_IMAGE). "
    "`manage_container_job run-command` uses it."
)


def django_template(image: str) -> ContainerTemplate:
    """The template, made with this image if there is none; an existing one stays as it is."""
    with transaction.atomic():
        template, is_new = ContainerTemplate.objects.get_or_create(
            name=NAME, defaults={"docker_image": image, "description": DESCRIPTION}
        )
        if is_new:
            _note(template)
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
    with transaction.atomic(using=using):
        template, is_new = model.objects.using(using).get_or_create(
            name=NAME, defaults={"docker_image": settings.TALLYMAN_APP_IMAGE, "description": DESCRIPTION}
        )
        if is_new and "audit_audithead" in connections[using].introspection.table_names():
            _note(template)


def _note(template: ContainerTemplate) -> None:
    made = {"name": template.name, "docker_image": template.docker_image}
    acts.record(
        Entry(verb="template.add", kind="template", key=str(template.pk), label=template.name, after=made)
    )

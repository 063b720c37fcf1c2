"""What a job would run if it were submitted now: command, environment with its origins, limits, and host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from admin_ui.pages.job import configuration
from admin_ui.pages.job.source import Source
from jobs import kinds
from jobs.explain import foresee
from jobs.freezing import frozen_now
from jobs.models import ContainerJob, ContainerTemplate, EnvironmentVariable
from jobs.variables import AS, FILE, is_file

_MOST_HOSTS = 5


def of_form(
    values: Mapping[str, Any],
    variables: tuple[Mapping[str, Any], Mapping[str, Any]],
    template: ContainerTemplate,
    *,
    may_see_hosts: bool,
) -> dict[str, Any]:
    """What `job/_preview.html` shows of what is right in a form; `variables`: plain ones, and secrets."""
    plain, secret = variables
    host = values.get("docker_host")
    host_id = host if isinstance(host, UUID) else getattr(host, "pk", None)
    job = ContainerJob(
        template=template,
        override_image=values.get("image") or "",
        override_command=values.get("command") or "",
        override_environment=dict(plain),
        override_max_attempts=values.get("max_attempts"),
        override_retry_on=values.get("retry_on"),
        override_start_deadline_seconds=values.get("start_deadline_seconds"),
        limit_key=values.get("limit_key") or "",
    )
    job.secret_environment = {name: {AS: FILE} if is_file(value) else "" for name, value in secret.items()}
    return {
        **configuration.describe(frozen_now(job), own=set(plain), of_template=set(names_of(template))),
        "foresight": _foresight(job, host_id) if may_see_hosts else None,
        "most_hosts": _MOST_HOSTS,
    }


def _foresight(job: ContainerJob, host_id: UUID | None) -> Any:
    kind = kinds.of_new(job.template, host_id=host_id, image=job.override_image, limit_key=job.limit_key)
    return foresee(kind)


def initial_rows(source: Source | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The variables of a job that is copied, as a form would give them."""
    return (source.plain, source.kept) if source else ({}, {})


def names_of(template: ContainerTemplate) -> list[str]:
    """The names of a template's variables."""
    found = EnvironmentVariable.objects.filter(template=template).order_by("key")
    return list(found.values_list("key", flat=True))

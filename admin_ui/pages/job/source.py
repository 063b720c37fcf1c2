"""What a new job begins with: its template's values, or those of a job that it is a copy of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from hosts.errors import ConfigurationError
from hosts.masking import mask_field
from jobs import spec, variables
from jobs.models import ContainerJob, ContainerTemplate


@dataclass(frozen=True, slots=True)
class Source:
    """The job that is copied. `kept` are values that go from it to the copy without being shown, each as
    `jobs.variables` stores it; `plain` are texts and references.

    These are its secrets, and what stands under a name that tells of one. `trouble` says why they cannot be
    read.
    """

    job: ContainerJob
    plain: dict[str, Any] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)
    trouble: str = ""


def read(job_id: UUID | str | None) -> Source | None:
    """The job to copy; None if there is none of this id."""
    try:
        found = ContainerJob.objects.select_related("template").defer("secret_environment")
        job = found.filter(pk=UUID(str(job_id))).first() if job_id else None
    except ValueError:
        return None
    return _source(job) if job else None


def _source(job: ContainerJob) -> Source:
    own = job.override_environment if isinstance(job.override_environment, dict) else {}
    texts = {name: text for name, value in own.items() if (text := spec.text(value)) is not None}
    telling = {name: text for name, text in texts.items() if mask_field(name, text) != text}
    plain: dict[str, Any] = {name: text for name, text in texts.items() if name not in telling}
    plain |= {name: value for name, value in own.items() if variables.reference_of(value)}
    try:
        secrets = job.secret_environment or {}
    except ConfigurationError as exc:
        return Source(job, plain, telling, str(exc))
    return Source(job, plain, {**telling, **_texts(secrets)})


def _texts(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value for name, value in values.items() if spec.text(variables.secret_text(value)) is not None
    }


def initial(template: ContainerTemplate, source: Source | None) -> dict[str, Any]:
    """What the fields of `JobForm` hold at first."""
    values: dict[str, Any] = {
        "template": template.pk,
        "image": template.docker_image,
        "command": template.command,
        "retry_on": template.retry_on,
    }
    if source is None:
        return values
    job = source.job
    own = {
        "image": job.override_image,
        "command": job.override_command,
        "retry_on": job.override_retry_on,
        "max_attempts": job.override_max_attempts,
        "start_deadline_seconds": job.override_start_deadline_seconds,
        "name": job.name,
        "limit_key": job.limit_key,
        "priority": job.priority or None,
        "docker_host": job.docker_host_id,
    }
    return {
        **values,
        "source": job.pk,
        **{name: value for name, value in own.items() if value not in (None, "")},
    }


def rows(source: Source | None) -> list[dict[str, Any]]:
    """The variables to begin with; secrets by their names only."""
    if source is None:
        return []
    plain = [_row(name, value) for name, value in source.plain.items()]
    return plain + [
        {"key": name, "value": "", "is_secret": True, "is_file": variables.is_file(source.kept[name])}
        for name in sorted(source.kept)
    ]


def _row(name: str, value: Any) -> dict[str, Any]:
    reference = variables.reference_of(value)
    return {
        "key": name,
        "value": reference or value,
        "is_secret": False,
        "is_reference": bool(reference),
        "is_file": variables.is_file(value),
    }

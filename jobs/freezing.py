"""Reading what the specs of claimed jobs are made of, in few queries, however broken one of them may be.

A secret that no key decrypts spoils its own job, which is rejected with the reason, and none beside it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Model, QuerySet

from hosts.errors import ConfigurationError
from jobs import spec
from jobs.models import ContainerJob, ContainerTemplate, EnvironmentVariable, NetworkAssignment

Row = TypeVar("Row", bound=Model)


def frozen_specs(jobs: Sequence[ContainerJob]) -> dict[UUID, dict[str, Any]]:
    """The frozen spec of each job, by the job's id; one that says what is wrong where it cannot be made."""
    templates = ContainerTemplate.objects.in_bulk({job.template_id for job in jobs})
    variables, unread_variables = _variables(templates)
    secrets, unread_jobs = _job_secrets(jobs)
    networks: dict[UUID, list[NetworkAssignment]] = defaultdict(list)
    for network in NetworkAssignment.objects.filter(template_id__in=templates):
        networks[network.template_id].append(network)
    specs = {}
    for job in jobs:
        job.secret_environment = secrets.get(job.id, {})
        template = templates[job.template_id]
        frozen = spec.freeze(job, template, variables[template.id], networks[template.id])
        if reason := unread_jobs.get(job.id) or unread_variables.get(template.id):
            frozen["wrong"] = reason
        specs[job.id] = frozen
    return specs


def _variables(
    templates: Mapping[UUID, ContainerTemplate],
) -> tuple[dict[UUID, list[EnvironmentVariable]], dict[UUID, str]]:
    """The variables of each template, secret ones without their value; what is wrong, by template."""
    mine = EnvironmentVariable.objects.filter(template_id__in=templates)
    plain, unread = _readable(mine.filter(is_secret=False), "value")
    variables: dict[UUID, list[EnvironmentVariable]] = defaultdict(list)
    for variable in [*mine.filter(is_secret=True).defer("value"), *plain]:
        variables[variable.template_id].append(variable)
    return variables, {
        row.template_id: f"Variable {row.key} of template {templates[row.template_id]}: {why}"
        for row, why in unread
    }


def _job_secrets(jobs: Sequence[ContainerJob]) -> tuple[dict[UUID, Any], dict[UUID, str]]:
    """The secret variables of each job; what is wrong, by job."""
    mine = ContainerJob.objects.filter(id__in=[job.id for job in jobs]).only("secret_environment")
    good, unread = _readable(mine, "secret_environment")
    wrong = {row.id: f"The job's secret variables: {why}" for row, why in unread}
    return {row.id: row.secret_environment for row in good}, wrong


def _readable(rows: QuerySet[Row], secret: str) -> tuple[list[Row], list[tuple[Row, str]]]:
    """The rows whose secret column can be decrypted, and the others (without it) with the reason."""
    try:
        return list(rows), []
    except ConfigurationError:
        pass
    good: list[Row] = []
    bad: list[tuple[Row, str]] = []
    for row in rows.model._default_manager.filter(pk__in=rows.values("pk")).defer(secret):
        try:
            getattr(row, secret)
            good.append(row)
        except ConfigurationError as exc:
            bad.append((row, str(exc)))
    return good, bad

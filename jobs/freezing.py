"""Reading what the specs of claimed jobs are made of, when it changed, however broken one of them may be.

A secret that no key decrypts spoils its own job, which is rejected with the reason, and none beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Model, Q, QuerySet

from hosts.errors import ConfigurationError
from hosts.fields import EncryptedJSONField
from jobs import spec
from jobs.models import ContainerJob, ContainerTemplate, EnvironmentVariable, NetworkAssignment

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True, slots=True)
class Taken:
    """A job taken just now; its secret variables as they are stored, and the version of its recipe."""

    job: ContainerJob
    secrets: str
    version: str | None


@dataclass(slots=True)
class _Recipe:
    """A template with all that hangs on it; `wrong` says what of it cannot be read."""

    template: ContainerTemplate
    variables: list[EnvironmentVariable] = field(default_factory=list)
    networks: list[NetworkAssignment] = field(default_factory=list)
    wrong: str = ""


_MOST_KEPT = 500
# Of this process, by template. A recipe is read after its version, so it is never older; if it is newer, the
# next claim sees another version and reads it once more.
_kept: dict[UUID, tuple[str, _Recipe]] = {}


def recipe_version(template_id: str) -> str:
    """SQL of what changes with every row that a template's specs are made of, however it is written.

    PostgreSQL's own marks of a row's version: nobody has to remember to touch a time of change.
    """
    parts = [f"(SELECT xmin::text || ctid::text FROM jobs_containertemplate WHERE id = {template_id})"]
    for table in ("jobs_environmentvariable", "jobs_networkassignment"):
        parts.append(
            f"COALESCE((SELECT string_agg(xmin::text || ctid::text, ',' ORDER BY id) FROM {table} "
            f"WHERE template_id = {template_id}), '')"
        )
    return " || '/' || ".join(parts)


def frozen_specs(jobs: Sequence[Taken]) -> dict[UUID, dict[str, Any]]:
    """The frozen spec of each job, by the job's id; one that says what is wrong where it cannot be made."""
    recipes = _recipes({one.job.template_id: one.version for one in jobs})
    specs = {}
    for one in jobs:
        recipe = recipes[one.job.template_id]
        one.job.secret_environment, reason = _job_secrets(one.secrets)
        frozen = spec.freeze(one.job, recipe.template, recipe.variables, recipe.networks)
        if reason := reason or recipe.wrong:
            frozen["wrong"] = reason
        specs[one.job.id] = frozen
    return specs


def frozen_now(job: ContainerJob) -> dict[str, Any]:
    """The spec that a claim would freeze for a job, stored or not; `wrong` says why it could not run."""
    recipe = _read([job.template_id])[job.template_id]
    frozen = spec.freeze(job, recipe.template, recipe.variables, recipe.networks)
    return {**frozen, "wrong": recipe.wrong} if recipe.wrong else frozen


def _recipes(versions: Mapping[UUID, str | None]) -> dict[UUID, _Recipe]:
    known = {}
    for template_id, version in versions.items():
        kept = _kept.get(template_id)
        if kept and kept[0] == version:
            known[template_id] = kept[1]
    missing = [template_id for template_id in versions if template_id not in known]
    if not missing:
        return known
    read = _read(missing)
    if len(_kept) > _MOST_KEPT:
        _kept.clear()
    for template_id, recipe in read.items():
        version = versions[template_id]
        if version is not None and not recipe.wrong:
            _kept[template_id] = version, recipe
    return known | read


def _read(template_ids: Sequence[UUID]) -> dict[UUID, _Recipe]:
    templates = ContainerTemplate.objects.in_bulk(template_ids)
    recipes = {template_id: _Recipe(template) for template_id, template in templates.items()}
    mine = EnvironmentVariable.objects.filter(template_id__in=templates)
    hidden = Q(is_secret=True) | Q(reference__gt="")
    plain, unread = readable(mine.exclude(hidden), "value")
    for variable in [*mine.filter(hidden).defer("value"), *plain]:
        recipes[variable.template_id].variables.append(variable)
    for variable, why in unread:
        recipe = recipes[variable.template_id]
        recipe.wrong = f"Variable {variable.key} of template {recipe.template}: {why}"
    for network in NetworkAssignment.objects.filter(template_id__in=templates):
        recipes[network.template_id].networks.append(network)
    return recipes


def _job_secrets(stored: str) -> tuple[dict[str, Any], str]:
    """The secret variables of a job, and what is wrong with them."""
    if not stored:
        return {}, ""
    try:
        return _SECRETS.from_db_value(stored, None, None), ""
    except ConfigurationError as exc:
        return {}, f"The job's secret variables: {exc}"


_SECRETS = EncryptedJSONField()


def readable(rows: QuerySet[Row], secret: str) -> tuple[list[Row], list[tuple[Row, str]]]:
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

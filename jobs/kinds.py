"""Kinds of pending jobs: those of one template, image and limit key, which may all run on the same hosts.

A kind is found by a jump in the index `job_claimable_kind`, whatever number of jobs is of it. So a worker
reads no job that it may not run, and a job needs nothing but its row to be found.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from typing import Any
from uuid import UUID

from django.db import connection

from hosts.executors import registry
from hosts.models import DockerHost
from jobs import batches, limits
from jobs.freezing import recipe_version
from jobs.models import ContainerTemplate
from jobs.needs import ASKABLE, look_for_files, needs_of_template
from jobs.placement import JobNeeds
from jobs.states import JobStatus

_PARTICULAR = (
    "memory_limit IS NOT NULL OR cpu_limit IS NOT NULL OR max_concurrent IS NOT NULL OR limit_key > '' "
    "OR required_executor > '' OR NOT (required_labels = '{}') OR NOT (preferred_labels = '{}')"
)
_WAITING = f"status = '{JobStatus.PENDING}' AND hold = ''"
# SQL: whether some jobs are to be told apart by their kinds. Each half is an index that is mostly empty.
PARTICULAR = (
    f"(EXISTS (SELECT 1 FROM jobs_containertemplate WHERE {_PARTICULAR}) "
    f"OR EXISTS (SELECT 1 FROM jobs_containerjob WHERE {_WAITING} AND limit_key > ''))"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """All pending jobs of one template, image and limit key that are pinned to one host, or to none."""

    host_key: Any  # as the database has it; None: for any host
    template_key: Any
    template_name: str
    override_image: str
    limit_key: str
    needs: JobNeeds
    max_concurrent: int | None


def any_particular(hosts: Iterable[DockerHost]) -> bool:
    """Whether kinds matter at all: a template says where or how many of its jobs run, a job has a key, or one
    of the hosts is choosy."""
    return any(map(is_choosy, hosts)) or bool(batches.execute(f"SELECT {PARTICULAR}", [])[0][0])


def is_choosy(host: DockerHost) -> bool:
    """Whether some jobs are not for the host, by what its executor can do or the images that it allows."""
    allows_all = isinstance(host.policy, dict) and "images" not in host.policy
    return not allows_all or bool(registry.lacking(host.executor_type, ASKABLE))


def pending(host_id: UUID) -> list[Kind]:
    """The kinds of pending jobs that the host might take: first those pinned to it, then those for any."""
    pinned = batches.execute(_kinds_sql(Place.HERE), [key(host_id)] * 2)
    return _kinds([*pinned, *_shared()])


def pending_anywhere() -> list[Kind]:
    """The kinds of all pending jobs: first those pinned to a host, whichever."""
    return _kinds([*batches.execute(_kinds_sql(Place.PINNED), []), *_shared()])


def _shared() -> list[Any]:
    return batches.execute(_kinds_sql(Place.SHARED), [])


def _kinds(rows: Sequence[Sequence[Any]]) -> list[Kind]:
    terms = _terms({row[1] for row in rows})
    # A job may have gone, and its template after it, since the rows were read.
    return [_kind(row, terms[row[1]]) for row in rows if row[1] in terms]


def of_jobs(job_ids: Sequence[UUID]) -> dict[UUID, Kind]:
    """The kinds of some jobs, by their ids, whatever their status; those that do not exist are missing."""
    if not job_ids:
        return {}
    marks = ", ".join(["%s"] * len(job_ids))
    sql = f"SELECT j.id, {_COLUMNS} FROM jobs_containerjob j WHERE j.id IN ({marks})"
    rows = batches.execute(sql, [key(job_id) for job_id in job_ids])
    terms = _terms({row[2] for row in rows})
    return {_as_uuid(row[0]): _kind(row[1:], terms[row[2]]) for row in rows if row[2] in terms}


def of_job(job_id: UUID) -> Kind | None:
    """The kind of one job; None if there is no such job."""
    return of_jobs([job_id]).get(job_id)


def of_new(template: ContainerTemplate, *, host_id: UUID | None, image: str, limit_key: str) -> Kind:
    """The kind that a job of the template would be of; an empty image is the template's."""
    row = host_id and key(host_id), key(template.pk), image, limit_key
    return _kind(row, _terms_of(template))


def key(value: UUID) -> Any:
    """An id as the database has it."""
    return DockerHost._meta.pk.get_db_prep_value(value, connection)


_COLUMNS = "j.docker_host_id, j.template_id, j.override_image, j.limit_key"


class Place(StrEnum):
    """Where jobs are to run, as SQL: on a host, the parameter; on one that they are pinned to; on any."""

    HERE = "= %s"
    PINNED = "IS NOT NULL"
    SHARED = "IS NULL"


@cache
def _kinds_sql(place: Place) -> str:
    """One step of the recursion is one jump to the first job of the next kind."""
    jobs = (
        "SELECT n.id FROM jobs_containerjob n WHERE n.status = 'pending' AND n.hold = '' "
        f"AND n.docker_host_id {place}"
    )
    columns = ["template_id", "override_image", "limit_key"]
    if place is Place.PINNED:
        columns.insert(0, "docker_host_id")
    ours, theirs = (", ".join(f"{table}.{column}" for column in columns) for table in "np")
    beyond = f"({ours}) > ({theirs})"
    # Also where the host is all the same: PostgreSQL sorts what it need not, unless the order is the index's.
    order = "ORDER BY n.docker_host_id, n.template_id, n.override_image, n.limit_key LIMIT 1"
    return (
        f"WITH RECURSIVE firsts(id) AS (SELECT ({jobs} {order}) UNION ALL "
        f"SELECT ({jobs} AND {beyond} {order}) FROM firsts JOIN jobs_containerjob p ON p.id = firsts.id) "
        f"SELECT {_COLUMNS} FROM firsts JOIN jobs_containerjob j ON j.id = firsts.id"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Terms:
    """What a template says of where its jobs may run; `needs` are those of a job that overrides nothing."""

    name: str
    limit_key: str
    max_concurrent: int | None
    needs: JobNeeds


_MOST_KEPT = 1000
# Of this process, by template and the version of all that it is made of, as in `jobs.freezing`. There are as
# many kinds of a template as its jobs have keys and images, and what it asks for takes long to tell.
_kept: dict[tuple[Any, str], _Terms] = {}


def _terms(template_keys: Collection[Any]) -> dict[Any, _Terms]:
    """The terms of templates, by their ids as the database has them; those that are gone are missing."""
    versions = _versions(template_keys)
    found = {one: _kept[one, version] for one, version in versions.items() if (one, version) in _kept}
    missing = [one for one in template_keys if one not in found]
    if not missing:
        return found
    wanted = ContainerTemplate.objects.filter(pk__in=missing).prefetch_related("network_assignments")
    templates = list(wanted)
    look_for_files(templates)
    read = {key(template.pk): _terms_of(template) for template in templates}
    if len(_kept) > _MOST_KEPT:
        _kept.clear()
    _kept.update({(one, versions[one]): terms for one, terms in read.items() if one in versions})
    return found | read


def _versions(template_keys: Collection[Any]) -> dict[Any, str]:
    """Asked before the templates are read; empty where the database has no marks of them."""
    if connection.vendor != "postgresql" or not template_keys:
        return {}
    return dict(batches.execute(_VERSIONS, [list(template_keys)]))


_VERSIONS = (
    f"SELECT t.id, {recipe_version('t.id')} FROM jobs_containertemplate t WHERE t.id = ANY(%s::uuid[])"
)


def _terms_of(template: ContainerTemplate) -> _Terms:
    return _Terms(
        name=template.name,
        limit_key=template.limit_key,
        max_concurrent=template.max_concurrent,
        needs=JobNeeds(
            image=template.docker_image,
            executor=template.required_executor,
            required_labels=template.required_labels,
            preferred_labels=template.preferred_labels,
            asks=needs_of_template(template),
            memory_bytes=(template.memory_limit or 0) * 1024**2,
            cpu_millis=round(float(template.cpu_limit or 0) * 1000),
        ),
    )


def _kind(row: Sequence[Any], terms: _Terms) -> Kind:
    host_key, template_key, override, own_key = row
    limited_by = limits.names(template_key, terms.max_concurrent, (terms.limit_key, own_key))
    image = override or terms.needs.image
    return Kind(
        host_key=host_key,
        template_key=template_key,
        template_name=terms.name,
        override_image=override,
        limit_key=own_key,
        max_concurrent=terms.max_concurrent,
        needs=replace(terms.needs, image=image, pinned_to=_uuid(host_key), limits=limited_by),
    )


def _uuid(value: Any) -> UUID | None:
    return UUID(value) if isinstance(value, str) else value


def _as_uuid(value: Any) -> UUID:
    return UUID(value) if isinstance(value, str) else value

"""Kinds of pending jobs: those of one template, image and limit key, which may all run on the same hosts.

A kind is found by a jump in the index `job_claimable_kind`, whatever number of jobs is of it. So a worker
reads no job that it may not run, and a job needs nothing but its row to be found.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

from django.db import connection

from hosts.executors import registry
from hosts.models import DockerHost
from jobs import batches, limits
from jobs.freezing import recipe_version
from jobs.models import ContainerTemplate
from jobs.needs import ASKABLE, needs_of_template
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


def pending(host_id: UUID | None) -> list[Kind]:
    """The kinds of pending jobs that are pinned to the host; of those for any host if it is None."""
    params = [] if host_id is None else [key(host_id)] * 2
    rows = batches.execute(_kinds_sql(connection.vendor, shared=host_id is None), params)
    asks = _asks(rows)
    return [_kind(row, host_id, asks) for row in rows]


def of_jobs(job_ids: Sequence[UUID]) -> dict[UUID, Kind]:
    """The kinds of some jobs, by their ids; those that do not exist are missing."""
    if not job_ids:
        return {}
    marks = ", ".join(["%s"] * len(job_ids))
    sql = f"SELECT j.id, {_columns(connection.vendor)} FROM jobs_containerjob j {_TEMPLATE}"
    rows = batches.execute(f"{sql} WHERE j.id IN ({marks})", [key(job_id) for job_id in job_ids])
    asks = _asks([row[1:] for row in rows])
    return {_as_uuid(row[0]): _kind(row[1:], _uuid(row[1]), asks) for row in rows}


def of_job(job_id: UUID) -> Kind | None:
    """The kind of one job, whatever its status; None if there is no such job."""
    sql = f"SELECT {_columns(connection.vendor)} FROM jobs_containerjob j {_TEMPLATE} WHERE j.id = %s"
    rows = batches.execute(sql, [key(job_id)])
    return _kind(rows[0], _uuid(rows[0][0]), _asks(rows)) if rows else None


def of_new(template: ContainerTemplate, *, host_id: UUID | None, image: str, limit_key: str) -> Kind:
    """The kind that a job of the template would be of; an empty image is the template's."""
    host_key, template_key = host_id and key(host_id), key(template.pk)
    columns = (
        *(host_key, template_key, image, limit_key, template.name, template.docker_image),
        *(template.required_executor, template.required_labels, template.preferred_labels),
        *(template.memory_limit, template.cpu_limit, template.max_concurrent, template.limit_key, None),
    )
    return _kind(columns, host_id, {template_key: needs_of_template(template)})


def key(value: UUID) -> Any:
    """An id as the database has it."""
    return DockerHost._meta.pk.get_db_prep_value(value, connection)


@cache
def _columns(vendor: str) -> str:
    version = recipe_version("t.id") if vendor == "postgresql" else "NULL"
    return (
        "j.docker_host_id, j.template_id, j.override_image, j.limit_key, t.name, t.docker_image, "
        "t.required_executor, t.required_labels, t.preferred_labels, t.memory_limit, t.cpu_limit, "
        f"t.max_concurrent, t.limit_key, {version}"
    )


_TEMPLATE = "JOIN jobs_containertemplate t ON t.id = j.template_id"


@cache
def _kinds_sql(vendor: str, *, shared: bool) -> str:
    """One step of the recursion is one jump to the first job of the next kind."""
    jobs = (
        "SELECT n.id FROM jobs_containerjob n WHERE n.status = 'pending' AND n.hold = '' "
        f"AND n.docker_host_id {'IS NULL' if shared else '= %s'}"
    )
    beyond = "(n.template_id, n.override_image, n.limit_key) > (p.template_id, p.override_image, p.limit_key)"
    # The host is all the same here. But PostgreSQL sorts what it need not, unless the order is the index's.
    order = "ORDER BY n.docker_host_id, n.template_id, n.override_image, n.limit_key LIMIT 1"
    return (
        f"WITH RECURSIVE firsts(id) AS (SELECT ({jobs} {order}) UNION ALL "
        f"SELECT ({jobs} AND {beyond} {order}) FROM firsts JOIN jobs_containerjob p ON p.id = firsts.id) "
        f"SELECT {_columns(vendor)} FROM firsts JOIN jobs_containerjob j ON j.id = firsts.id {_TEMPLATE}"
    )


_MOST_KEPT = 1000
# Of this process, by template and the version of all that it is made of, as in `jobs.freezing`.
_kept: dict[tuple[Any, str], frozenset[str]] = {}


def _asks(rows: Sequence[Sequence[Any]]) -> dict[Any, frozenset[str]]:
    """What the template of each row asks of an executor, by the template's id as the database has it."""
    versions = {row[1]: row[-1] for row in rows}
    asks = {one: _kept[one, version] for one, version in versions.items() if (one, version) in _kept}
    missing = [one for one in versions if one not in asks]
    if not missing:
        return asks
    templates = ContainerTemplate.objects.filter(pk__in=missing).prefetch_related("network_assignments")
    read = {key(template.pk): needs_of_template(template) for template in templates}
    if len(_kept) > _MOST_KEPT:
        _kept.clear()
    _kept.update({(one, versions[one]): found for one, found in read.items() if versions[one] is not None})
    return asks | read


def _kind(row: Sequence[Any], host_id: UUID | None, asks: Mapping[Any, frozenset[str]]) -> Kind:
    host_key, template_key, override, own_key, name, image, executor, required, preferred, *rest = row
    memory, cpus, max_concurrent, shared_key, _ = rest
    return Kind(
        host_key=host_key,
        template_key=template_key,
        template_name=name,
        override_image=override,
        limit_key=own_key,
        max_concurrent=max_concurrent,
        needs=JobNeeds(
            image=override or image,
            pinned_to=host_id,
            executor=executor,
            required_labels=_json(required),
            preferred_labels=_json(preferred),
            asks=asks.get(template_key, frozenset()),
            memory_bytes=(memory or 0) * 1024**2,
            cpu_millis=round(float(cpus or 0) * 1000),
            limits=limits.names(template_key, max_concurrent, (shared_key, own_key)),
        ),
    )


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _uuid(value: Any) -> UUID | None:
    return UUID(value) if isinstance(value, str) else value


def _as_uuid(value: Any) -> UUID:
    return UUID(value) if isinstance(value, str) else value

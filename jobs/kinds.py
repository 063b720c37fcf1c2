"""Kinds of pending jobs: those of one template, image and limit key, which may all run on the same hosts.

A kind is found by a jump in the index `job_claimable_kind`, whatever number of jobs is of it. So a worker
reads no job that it may not run, and a job needs nothing but its row to be found.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

from django.db import connection

from hosts.models import DockerHost
from jobs import batches, limits
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


def any_particular() -> bool:
    """Whether kinds matter at all: a template says where or how many of its jobs run, or a job has a key."""
    return bool(batches.execute(f"SELECT {PARTICULAR}", [])[0][0])


def pending(host_id: UUID | None) -> list[Kind]:
    """The kinds of pending jobs that are pinned to the host; of those for any host if it is None."""
    params = [] if host_id is None else [key(host_id)] * 2
    return [_kind(row, host_id) for row in batches.execute(_kinds_sql(shared=host_id is None), params)]


def of_job(job_id: UUID) -> Kind | None:
    """The kind of one job, whatever its status; None if there is no such job."""
    sql = f"SELECT {_COLUMNS} FROM jobs_containerjob j {_TEMPLATE} WHERE j.id = %s"
    rows = batches.execute(sql, [key(job_id)])
    return _kind(rows[0], _uuid(rows[0][0])) if rows else None


def key(value: UUID) -> Any:
    """An id as the database has it."""
    return DockerHost._meta.pk.get_db_prep_value(value, connection)


_COLUMNS = (
    "j.docker_host_id, j.template_id, j.override_image, j.limit_key, t.name, t.docker_image, "
    "t.required_executor, t.required_labels, t.preferred_labels, t.memory_limit, t.cpu_limit, "
    "t.max_concurrent, t.limit_key"
)
_TEMPLATE = "JOIN jobs_containertemplate t ON t.id = j.template_id"


@cache
def _kinds_sql(*, shared: bool) -> str:
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
        f"SELECT {_COLUMNS} FROM firsts JOIN jobs_containerjob j ON j.id = firsts.id {_TEMPLATE}"
    )


def _kind(row: Sequence[Any], host_id: UUID | None) -> Kind:
    host_key, template_key, override, own_key, name, image, executor, required, preferred, *rest = row
    memory, cpus, max_concurrent, shared_key = rest
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
            memory_bytes=(memory or 0) * 1024**2,
            cpu_millis=round(float(cpus or 0) * 1000),
            limits=limits.names(template_key, max_concurrent, (shared_key, own_key)),
        ),
    )


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _uuid(value: Any) -> UUID | None:
    return UUID(value) if isinstance(value, str) else value

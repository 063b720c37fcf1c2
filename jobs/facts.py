"""Reading what `jobs.placement` decides by: the hosts, and what their open attempts were given."""

from __future__ import annotations

import json
from functools import cache
from typing import Any
from uuid import UUID

from django.db import connection

from hosts.models import Availability, HostState
from jobs import batches
from jobs.kinds import key
from jobs.placement import HostFacts
from jobs.states import SLOT_HOLDING

_HOLDING = ", ".join(f"'{state}'" for state in sorted(SLOT_HOLDING))
_FRESH_SECONDS = 45.0
TAKES_NOTHING = "takes no jobs now"


def of_host(host_id: UUID) -> HostFacts | None:
    """One host, as its own worker sees it: it knows best whether it may take jobs. None: it is gone."""
    rows = batches.execute(_facts_sql("h.id = %s"), [key(host_id)])
    return _facts(rows[0], obstacle="") if rows else None


def of_others(host_id: UUID) -> list[HostFacts]:
    """All other hosts that are in use, as they can be counted on: seen lately, and held by a worker."""
    rows = batches.execute(_facts_sql("h.id <> %s AND h.is_active AND h.archived_at IS NULL"), [key(host_id)])
    return [_facts(row) for row in rows]


def of_all() -> list[HostFacts]:
    """Every host, heaviest first."""
    return [
        _facts(row) for row in batches.execute(f"{_facts_sql('TRUE')} ORDER BY h.weight DESC, h.name", [])
    ]


_COLUMNS = (
    *("id", "name", "executor_type", "labels", "weight", "max_concurrent_jobs"),
    *("engine_memory_bytes", "memory_percent", "engine_cpus", "cpu_percent", "policy"),
)


@cache
def _facts_sql(where: str) -> str:
    postgresql = connection.vendor == "postgresql"
    given = "(a.spec ->> '{0}')::numeric" if postgresql else "json_extract(a.spec, '$.{0}')"
    counts = (
        f"COUNT(*) AS held, COALESCE(SUM({given.format('memory_limit')}), 0) AS memory, "
        f"COALESCE(SUM({given.format('cpu_limit')}), 0) AS cpus"
    )
    takes = (
        f"h.is_active AND h.archived_at IS NULL AND h.availability = '{Availability.ACTIVE}' "
        f"AND h.state = '{HostState.ONLINE}' AND h.seen_at > {batches.later(str(-_FRESH_SECONDS))} "
        "AND EXISTS (SELECT 1 FROM hosts_hostlease l WHERE l.host_id = h.id AND l.owner IS NOT NULL "
        f"AND l.released_at IS NULL AND l.expires_at > {batches.now()})"
    )
    # Left to itself, SQLite goes by an index of all attempts, in order, for the sake of the groups.
    indexed = "" if postgresql else "INDEXED BY attempt_open_on_host"
    return (
        f"SELECT {', '.join(f'h.{name}' for name in _COLUMNS)}, {takes}, "
        "COALESCE(o.held, 0), COALESCE(o.memory, 0), COALESCE(o.cpus, 0) "
        f"FROM hosts_dockerhost h LEFT JOIN (SELECT a.host_id, {counts} FROM jobs_attempt a {indexed} "
        f"WHERE NOT (a.state = 'ended') AND a.state IN ({_HOLDING}) GROUP BY a.host_id) o "
        "ON o.host_id = h.id "
        f"WHERE {where}"
    )


def _facts(row: Any, *, obstacle: str | None = None) -> HostFacts:
    host_id, name, kind, labels, weight, slots, memory, memory_percent, cpus, cpu_percent, *rest = row
    policy, takes, held, memory_given, cpus_given = rest
    return HostFacts(
        id=UUID(host_id) if isinstance(host_id, str) else host_id,
        name=name,
        executor_type=kind,
        labels=_json(labels),
        policy=_json(policy),
        weight=weight,
        free_slots=slots - held,
        obstacle=obstacle if obstacle is not None else "" if takes else TAKES_NOTHING,
        memory_bytes=None if memory is None else memory * memory_percent // 100,
        cpu_millis=None if cpus is None else cpus * 10 * cpu_percent,
        memory_reserved=int(memory_given) * 1024**2,
        cpu_reserved=round(float(cpus_given) * 1000),
    )


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value

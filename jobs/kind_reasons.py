"""Writing why jobs wait, kind by kind: one statement for all kinds of a host, however many there are.

A statement for each kind, or for fifty of them, went through all pending jobs each time: 100,000 jobs of
1,700 kinds kept the clerk busy for seconds at every look.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any
from uuid import UUID

from django.db import connection

from jobs import batches, kinds
from jobs.kinds import Kind

Said = tuple[Kind, str]


def write(
    host_id: UUID | None, said: Sequence[Said], *, calm: bool, otherwise: str, within: float, most: int
) -> int:
    """Let due jobs of these kinds say why they wait, `most` at once; how many said something else before.

    The jobs are those pinned to the host, or to none. A kind without a reason can be taken: its jobs say
    `otherwise` once they have not been for `within` seconds. Not `calm`: a job gets its reason once, after
    as long.
    """
    if not said:
        return 0
    sql = _sql(connection.vendor, pinned=host_id is not None, calm=calm)
    pinned = [] if host_id is None else [kinds.key(host_id)]
    params = [*_table(said), *([-within, -within, otherwise] if calm else []), *pinned]
    changed = [-within, -within, otherwise] if calm else [-within]
    return len(batches.execute(sql, [*params, *changed, most]))


def _table(said: Sequence[Said]) -> list[Any]:
    rows = [(kind.template_key, kind.override_image, kind.limit_key, reason) for kind, reason in said]
    return [list(column) for column in zip(*rows, strict=True)] if _arrays() else [json.dumps(rows)]


def _arrays() -> bool:
    return connection.vendor == "postgresql"


@cache
def _sql(vendor: str, *, pinned: bool, calm: bool) -> str:
    if vendor == "postgresql":
        table = "SELECT * FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[])"
    else:
        columns = ", ".join(f"json_extract(value, '$[{place}]')" for place in range(4))
        table = f"SELECT {columns} FROM json_each(%s)"
    late = batches.later("%s")
    is_fresh = f"j.created_at > {late} OR j.not_before_at > {late}"
    text = "%s::text" if vendor == "postgresql" else "%s"
    now = f"CASE WHEN k.reason > '' THEN k.reason WHEN {is_fresh} THEN '' ELSE {text} END"
    reason, changed = (now, f"j.pending_reason <> {now}") if calm else ("k.reason", _once(late))
    return (
        f"WITH k(template_id, image, limit_key, reason) AS ({table}), "
        f"found(id, reason) AS (SELECT j.id, {reason} FROM jobs_containerjob AS j JOIN k "
        "ON j.template_id = k.template_id AND j.override_image = k.image AND j.limit_key = k.limit_key "
        "WHERE j.status = 'pending' AND j.hold = '' "
        f"AND j.docker_host_id {'= %s' if pinned else 'IS NULL'} "
        f"AND (j.not_before_at IS NULL OR j.not_before_at <= {batches.now()}) AND {changed} LIMIT %s) "
        "UPDATE jobs_containerjob SET pending_reason = found.reason FROM found "
        "WHERE jobs_containerjob.id = found.id AND jobs_containerjob.status = 'pending' RETURNING 1"
    )


def _once(late: str) -> str:
    return f"k.reason > '' AND j.pending_reason = '' AND j.created_at <= {late}"

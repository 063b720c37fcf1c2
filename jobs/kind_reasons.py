"""Writing why jobs wait, kind by kind: one statement for all kinds and hosts, however many there are.

A statement for each kind, or for fifty of them, went through all pending jobs each time: 100,000 jobs of
1,700 kinds kept the clerk busy for seconds at every look.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from django.db import connection

from jobs import batches
from jobs.kinds import Kind

Said = tuple[Kind, str]


def write(said: Sequence[Said], *, calm: bool, otherwise: str, within: float, most: int) -> int:
    """Let due jobs of these kinds say why they wait, twice `most` at once; how many said something else.

    A kind without a reason can be taken: its jobs say `otherwise` once they have not been for `within`
    seconds. Not `calm`: a job gets its reason once, after as long.
    """
    changed = 0
    for pinned in (True, False):
        some = [one for one in said if (one[0].host_key is not None) is pinned]
        if not some:
            continue
        late = [-within, -within, otherwise]
        params = [*_table(some), *late, *late] if calm else [*_table(some), -within]
        changed += len(batches.execute(_sql(connection.vendor, pinned=pinned, calm=calm), [*params, most]))
    return changed


def _table(said: Sequence[Said]) -> list[Any]:
    rows = [
        (kind.host_key, kind.template_key, kind.override_image, kind.limit_key, reason)
        for kind, reason in said
    ]
    return [list(column) for column in zip(*rows, strict=True)] if _arrays() else [json.dumps(rows)]


def _arrays() -> bool:
    return connection.vendor == "postgresql"


@cache
def _sql(vendor: str, *, pinned: bool, calm: bool) -> str:
    if vendor == "postgresql":
        table = "SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::text[])"
    else:
        columns = ", ".join(f"json_extract(value, '$[{place}]')" for place in range(5))
        table = f"SELECT {columns} FROM json_each(%s)"
    late = batches.later("%s")
    is_fresh = f"j.created_at > {late} OR j.not_before_at > {late}"
    text = "%s::text" if vendor == "postgresql" else "%s"
    now = f"CASE WHEN k.reason > '' THEN k.reason WHEN {is_fresh} THEN '' ELSE {text} END"
    reason, changed = (now, f"j.pending_reason <> {now}") if calm else ("k.reason", _once(late))
    return (
        f"WITH k(host_id, template_id, image, limit_key, reason) AS ({table}), "
        f"found(id, reason) AS (SELECT j.id, {reason} FROM jobs_containerjob AS j JOIN k "
        "ON j.template_id = k.template_id AND j.override_image = k.image AND j.limit_key = k.limit_key "
        "WHERE j.status = 'pending' AND j.hold = '' "
        f"AND j.docker_host_id {'= k.host_id' if pinned else 'IS NULL'} "
        f"AND (j.not_before_at IS NULL OR j.not_before_at <= {batches.now()}) AND {changed} LIMIT %s) "
        "UPDATE jobs_containerjob SET pending_reason = found.reason FROM found "
        "WHERE jobs_containerjob.id = found.id AND jobs_containerjob.status = 'pending' RETURNING 1"
    )


def _once(late: str) -> str:
    return f"k.reason > '' AND j.pending_reason = '' AND j.created_at <= {late}"

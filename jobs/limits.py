"""Concurrency limits: of a template, and of a key that templates and jobs name.

They hold on all hosts together. What runs is counted from the open attempts, never kept in a counter. Who
claims locks the limit first and counts then, in another statement: one statement would count what was there
before it waited for the lock, and let one too many through.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from django.db import connection

from jobs import batches
from jobs.states import SLOT_HOLDING

_OF_TEMPLATE, _OF_KEY = "template ", "key "
_HOLDING = ", ".join(f"'{state}'" for state in sorted(SLOT_HOLDING))
_MANY = 500


def names(template_key: Any, max_concurrent: int | None, keys: Iterable[str]) -> tuple[str, ...]:
    """The limits that hold for a job, if there are rows that limit them; each once."""
    own = [f"{_OF_TEMPLATE}{template_key}"] if max_concurrent is not None else []
    return tuple(dict.fromkeys([*own, *(f"{_OF_KEY}{key}" for key in keys if key)]))


def of_key(key: str) -> str:
    """The name of the limit of a key."""
    return f"{_OF_KEY}{key}"


def key_of(name: str) -> str:
    """The key of a limit; empty for one of a template."""
    return name.removeprefix(_OF_KEY) if name.startswith(_OF_KEY) else ""


def allowed(wanted: Collection[str]) -> dict[str, int]:
    """How many jobs each of the limits allows at once; those without a row are not limited, and left out."""
    return _read(wanted, "")


def all_of_them() -> dict[str, int]:
    """How many jobs each limit that there is allows at once."""
    keys = batches.execute("SELECT key, max_concurrent FROM jobs_concurrencylimit", [])
    sql = "SELECT id, max_concurrent FROM jobs_containertemplate WHERE max_concurrent IS NOT NULL"
    found = {f"{_OF_KEY}{key}": most for key, most in keys}
    return found | {f"{_OF_TEMPLATE}{template}": most for template, most in batches.execute(sql, [])}


def locked(wanted: Collection[str]) -> dict[str, int]:
    """The same, of the limits that nobody else has locked now; they are ours until the transaction ends."""
    # Not for the key: whoever submits a job of the template meanwhile refers to it.
    lock = " FOR NO KEY UPDATE SKIP LOCKED" if connection.vendor == "postgresql" else ""
    return _read(wanted, lock)


def _read(wanted: Collection[str], lock: str) -> dict[str, int]:
    keys = [key for name in wanted if (key := key_of(name))]
    templates = [name.removeprefix(_OF_TEMPLATE) for name in wanted if name.startswith(_OF_TEMPLATE)]
    found: dict[str, int] = {}
    if keys:
        sql = "SELECT key, max_concurrent FROM jobs_concurrencylimit WHERE key"
        found |= {f"{_OF_KEY}{key}": most for key, most in _among(sql, "text", keys, f" ORDER BY key{lock}")}
    if templates:
        sql = "SELECT id, max_concurrent FROM jobs_containertemplate WHERE max_concurrent IS NOT NULL AND id"
        rows = _among(sql, "uuid", templates, f" ORDER BY id{lock}")
        found |= {f"{_OF_TEMPLATE}{template}": most for template, most in rows}
    return found


def _among(sql: str, kind: str, values: Sequence[str], then: str) -> list[Any]:
    if connection.vendor == "postgresql":
        return batches.execute(f"{sql} = ANY(%s::{kind}[]){then}", [list(values)])
    found: list[Any] = []
    for start in range(0, len(values), _MANY):
        some = values[start : start + _MANY]
        found += batches.execute(f"{sql} IN ({', '.join(['%s'] * len(some))}){then}", some)
    return found


def running() -> Counter[str]:
    """How many jobs of each limit hold a slot anywhere: claimed, starting, running or being stopped."""
    found: Counter[str] = Counter()
    for template_key, max_concurrent, shared_key, own_key, count in batches.execute(_RUNNING, []):
        for name in names(template_key, max_concurrent, (shared_key, own_key)):
            found[name] += count
    return found


def free(most: Mapping[str, int]) -> dict[str, int]:
    """How many more jobs each limit allows now; never less than 0."""
    if not most:
        return {}
    now = running()
    return {name: max(0, count - now[name]) for name, count in most.items()}


_RUNNING = f"""
    SELECT t.id, t.max_concurrent, t.limit_key, j.limit_key, COUNT(*)
    FROM jobs_attempt a
    JOIN jobs_containerjob j ON j.id = a.job_id
    JOIN jobs_containertemplate t ON t.id = j.template_id
    WHERE NOT (a.state = 'ended') AND a.state IN ({_HOLDING})
    AND (t.max_concurrent IS NOT NULL OR t.limit_key > '' OR j.limit_key > '')
    GROUP BY t.id, t.max_concurrent, t.limit_key, j.limit_key
"""

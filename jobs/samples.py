"""The readings of an attempt for a chart: never more points than asked for, whatever is stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from jobs import batches
from jobs.kinds import key

_MEASURES = ("memory_bytes", "cpu_seconds", "network_rx_bytes", "network_tx_bytes", "pids")


@dataclass(frozen=True, slots=True)
class Sample:
    """What was read up to `at`; None was not measured. Counters grow from the start of the container."""

    at: datetime
    memory_bytes: int | None
    cpu_seconds: float | None
    network_rx_bytes: int | None
    network_tx_bytes: int | None
    pids: int | None


def samples(attempt_id: UUID, *, most: int) -> list[Sample]:
    """At most so many points, oldest first, each the highest of the readings that it stands for."""
    attempt = key(attempt_id)
    ((count,),) = batches.execute("SELECT COUNT(*) FROM jobs_usagesample WHERE attempt_id = %s", [attempt])
    if not count:
        return []
    step = -(-count // most)
    highest = ", ".join(f"MAX({name})" for name in _MEASURES)
    numbered = (
        f"SELECT at, {', '.join(_MEASURES)}, ROW_NUMBER() OVER (ORDER BY at, id) - 1 AS place "
        "FROM jobs_usagesample WHERE attempt_id = %s"
    )
    rows = batches.execute(
        f"SELECT MAX(at), {highest} FROM ({numbered}) AS numbered GROUP BY place / %s ORDER BY 1",
        [attempt, step],
    )
    return [Sample(_moment(at), *values) for at, *values in rows]


def _moment(value: Any) -> datetime:
    # SQLite has no type for moments: it stores them as text, in UTC.
    if isinstance(value, datetime):
        return value
    return datetime.fromisoformat(value).replace(tzinfo=UTC)

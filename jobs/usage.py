"""Readings of running containers, and the totals kept of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from hosts import fitting
from hosts.executors.contract import Usage
from jobs import batches
from jobs.models import Attempt, UsageSample
from jobs.states import OPEN_STATES

_MEASURES = (
    "memory_bytes",
    "cpu_seconds",
    "network_rx_bytes",
    "network_tx_bytes",
    "block_read_bytes",
    "block_write_bytes",
    "pids",
)


@dataclass(slots=True)
class UsageTotals:
    """Peaks, means and last counters over the readings of one attempt; None while nothing was measured."""

    readings: int = 0
    memory_sum: int = 0
    peak_memory_bytes: int | None = None
    cpu_seconds: float | None = None
    network_rx_bytes: int | None = None
    network_tx_bytes: int | None = None
    block_read_bytes: int | None = None
    block_write_bytes: int | None = None
    peak_pids: int | None = None

    def add(self, usage: Usage) -> None:
        """Take one more reading in."""
        if usage.memory_bytes is not None:
            self.readings += 1
            self.memory_sum += usage.memory_bytes
            self.peak_memory_bytes = max(self.peak_memory_bytes or 0, usage.memory_bytes)
        if usage.pids is not None:
            self.peak_pids = max(self.peak_pids or 0, usage.pids)
        for name in (
            "cpu_seconds",
            "network_rx_bytes",
            "network_tx_bytes",
            "block_read_bytes",
            "block_write_bytes",
        ):
            value = getattr(usage, name)
            if value is not None:
                setattr(self, name, max(getattr(self, name) or 0, value))

    @property
    def average_memory_bytes(self) -> int | None:
        """The mean of the readings."""
        return self.memory_sum // self.readings if self.readings else None

    @classmethod
    def stored(cls, attempt_id: UUID) -> UsageTotals:
        """The totals of the readings stored so far."""
        totals = cls()
        for sample in UsageSample.objects.filter(attempt_id=attempt_id).values(*_MEASURES):
            totals.add(Usage(**sample))
        return totals


def storable(usage: Usage) -> tuple[Usage, dict[str, str]]:
    """The reading without the measures that no column takes, and what is the matter with each of those."""
    left_out = {}
    for name in _MEASURES:
        value, trouble = fitting.fit(UsageSample._meta.get_field(name), getattr(usage, name))  # type: ignore[arg-type]
        if not trouble and value is not None and value < 0:
            trouble = "less than nothing"
        if trouble:
            left_out[name] = trouble
    return replace(usage, **dict.fromkeys(left_out)), left_out


_COLUMNS: dict[str, Any] = {
    "attempt_id": Attempt._meta.get_field("id"),
    "epoch": Attempt._meta.get_field("epoch"),
    **{name: UsageSample._meta.get_field(name) for name in _MEASURES},
}


def row(attempt_id: UUID, epoch: int, usage: Usage) -> batches.Row:
    """One row for `append`."""
    return {"attempt_id": attempt_id, "epoch": epoch, **{name: getattr(usage, name) for name in _MEASURES}}


def append(rows: Sequence[batches.Row]) -> set[UUID]:
    """Store one reading per attempt; it also proves that the attempt was seen just now."""
    update = (
        "UPDATE jobs_attempt AS a SET unknown_since_at = NULL FROM x "
        "WHERE a.id = x.attempt_id AND a.epoch = x.epoch "
        f"AND a.state IN ({', '.join(repr(str(state.value)) for state in OPEN_STATES)})"
    )
    insert = (
        f"INSERT INTO jobs_usagesample (attempt_id, at, {', '.join(_MEASURES)}) "
        f"SELECT m.attempt_id, {batches.now()}, {', '.join('m.' + name for name in _MEASURES)} FROM m"
    )
    return batches.guarded(_COLUMNS, rows, update, [insert])

"""Readings of running containers as they are stored: a thinned series, and the totals of all of them.

The totals are on the attempt itself, so that they neither depend on which samples of the series are kept nor
end with the worker that took the readings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any
from uuid import UUID

from django.db import models

from hosts import fitting
from hosts.executors.contract import Usage
from jobs import batches
from jobs.measures import Series, UsageTotals
from jobs.models import Attempt, UsageSample
from jobs.states import OPEN_STATES, AttemptState

_MEASURES = (
    "memory_bytes",
    "cpu_seconds",
    "network_rx_bytes",
    "network_tx_bytes",
    "block_read_bytes",
    "block_write_bytes",
    "pids",
)


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
    "measured": Attempt._meta.get_field("measured"),
    "keep": models.BooleanField(),
    "thin": models.BooleanField(),
    **{name: UsageSample._meta.get_field(name) for name in _MEASURES},
}


def row(
    attempt_id: UUID, epoch: int, reading: Usage, totals: UsageTotals, series: Series
) -> tuple[batches.Row, Series]:
    """One row for `append`, and the series as it is once that row is written.

    `totals` have the reading in them; its time is theirs.
    """
    after, keep, thin = series.after(totals.last_at or 0.0)
    return {
        "attempt_id": attempt_id,
        "epoch": epoch,
        "measured": {"totals": asdict(totals), "series": asdict(after)},
        "keep": keep,
        "thin": thin,
        **{name: getattr(reading, name) for name in _MEASURES},
    }, after


def append(rows: Sequence[batches.Row]) -> set[UUID]:
    """Store one reading per attempt, and the totals with it; the attempts that are still ours and open."""
    update = (
        "UPDATE jobs_attempt AS a SET measured = x.measured FROM x "
        "WHERE a.id = x.attempt_id AND a.epoch = x.epoch "
        f"AND {batches.one_of('a.state', OPEN_STATES)}"
    )
    every_other = (
        "DELETE FROM jobs_usagesample WHERE id IN (SELECT numbered.id FROM ("
        "SELECT s.id, ROW_NUMBER() OVER (PARTITION BY s.attempt_id ORDER BY s.at, s.id) AS place "
        "FROM jobs_usagesample AS s JOIN m ON m.attempt_id = s.attempt_id WHERE m.thin) AS numbered "
        "WHERE numbered.place %% 2 = 0)"
    )
    insert = (
        f"INSERT INTO jobs_usagesample (attempt_id, at, {', '.join(_MEASURES)}) "
        f"SELECT m.attempt_id, {batches.now()}, {', '.join('m.' + name for name in _MEASURES)} "
        "FROM m WHERE m.keep"
    )
    return batches.guarded(_COLUMNS, rows, update, [every_other, insert])


def restored(attempt: Attempt) -> tuple[UsageTotals, Series]:
    """What the readings stored so far come to, for who goes on with the attempt."""
    if attempt.measured:
        return (
            UsageTotals.from_json(attempt.measured["totals"]),
            Series.from_json(attempt.measured["series"]),
        )
    return _of_samples(attempt)


def figures(attempt: Attempt) -> dict[str, Any]:
    """What an attempt used, by `measures.FIGURES`: so far, or, if it has ended, what may be told of it."""
    totals = restored(attempt)[0] if attempt.measured else UsageTotals()
    if attempt.state != AttemptState.ENDED:
        return totals.so_far()
    return totals.told(attempt.started_at, attempt.finished_at)


def _of_samples(attempt: Attempt) -> tuple[UsageTotals, Series]:
    """For an attempt that was begun before totals were stored: its samples are all there is."""
    totals = UsageTotals()
    samples = list(UsageSample.objects.filter(attempt=attempt).order_by("at").values("at", *_MEASURES))
    for sample in samples:
        totals.add(Usage(**sample))
    return totals, Series(kept=len(samples), kept_at=totals.last_at, written_at=totals.last_at)

"""Readings as they are stored: a thinned series, and totals that do not depend on it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from django.db.models.functions import Now

from hosts.executors.contract import Usage
from jobs import usage
from jobs.measures import FIGURES, Series, UsageTotals
from jobs.models import Attempt, UsageSample
from jobs.states import OPEN_STATES, AttemptState
from tests.jobs.attempts import everything, make_attempt
from tests.support.factories import make_job

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 1, 1, tzinfo=UTC)
READING = Usage(
    memory_bytes=5_000_000_000,
    cpu_seconds=1.5,
    network_rx_bytes=1,
    network_tx_bytes=2,
    block_read_bytes=3,
    block_write_bytes=4,
    pids=5,
)


def store_readings(attempt: Attempt, *readings: Usage) -> bool:
    """Store them as a worker does, after those that are stored; whether the last one held."""
    held = False
    for reading in readings:
        totals, series = usage.restored(Attempt.objects.get(pk=attempt.pk))
        totals.add(reading)
        row, _ = usage.row(attempt.id, attempt.epoch, reading, totals, series)
        held = attempt.id in usage.append([row])
    return held


def totals_of(attempt: Attempt) -> UsageTotals:
    return usage.restored(Attempt.objects.get(pk=attempt.pk))[0]


def test_a_reading_is_stored_as_it_is():
    attempt = make_attempt(AttemptState.RUNNING)
    assert store_readings(attempt, READING)
    row = UsageSample.objects.annotate(now=Now()).get()
    assert row.attempt == attempt
    assert abs(row.now - row.at) < timedelta(seconds=5)
    measured = {name for name in READING.__slots__ if getattr(READING, name) is not None}
    assert all(getattr(row, name) == getattr(READING, name) for name in measured)


def test_what_was_not_measured_stays_unknown():
    assert store_readings(make_attempt(AttemptState.RUNNING), Usage(pids=1))
    assert UsageSample.objects.get().memory_bytes is None


@pytest.mark.parametrize("state", OPEN_STATES)
def test_any_open_attempt_is_measured(state):
    assert store_readings(make_attempt(state), READING)


def test_an_attempt_that_has_ended_is_not_measured():
    attempt = make_attempt(AttemptState.ENDED, outcome="user")
    before = everything()
    assert not store_readings(attempt, READING)
    assert everything() == before


def test_a_writer_of_another_epoch_writes_nothing_and_thins_nothing():
    attempt = make_attempt(AttemptState.RUNNING)
    UsageSample.objects.bulk_create(UsageSample(attempt=attempt, pids=n) for n in range(4))
    before = everything()
    attempt.epoch += 1
    row, _ = usage.row(attempt.id, attempt.epoch, READING, UsageTotals(), Series(kept=Series.MOST))
    assert row["thin"]
    assert not usage.append([row])
    assert everything() == before


def test_many_attempts_are_measured_in_one_write():
    attempts = [make_attempt(AttemptState.RUNNING, job=make_job()) for _ in range(3)]
    rows = [usage.row(one.id, one.epoch, READING, UsageTotals(), Series())[0] for one in attempts]
    assert usage.append(rows) == {attempt.id for attempt in attempts}
    assert UsageSample.objects.count() == 3


def test_who_takes_over_goes_on_with_the_totals_so_far():
    attempt = make_attempt(AttemptState.RUNNING)
    readings = [
        Usage(at=NOW + timedelta(seconds=place), memory_bytes=size, memory_high_bytes=9, cache_bytes=1)
        for place, size in enumerate((5, 1))
    ]
    store_readings(attempt, *readings)
    expected = UsageTotals()
    for reading in readings:
        expected.add(reading)
    assert totals_of(attempt) == expected


def test_totals_of_an_attempt_begun_by_an_older_version_come_from_its_samples():
    attempt = make_attempt(AttemptState.RUNNING)
    UsageSample.objects.create(attempt=attempt, memory_bytes=10, cpu_seconds=1.0)
    UsageSample.objects.create(attempt=attempt, memory_bytes=7, cpu_seconds=2.0)
    totals, series = usage.restored(attempt)
    assert (totals.peak_memory_bytes, totals.cpu_seconds, series.kept) == (10, 2.0, 2)


def test_a_newer_versions_totals_can_be_read():
    attempt = make_attempt(AttemptState.RUNNING)
    store_readings(attempt, READING)
    measured = Attempt.objects.get().measured
    for part in measured.values():
        part["of_a_later_version"] = 1
    Attempt.objects.update(measured=measured)
    assert totals_of(attempt).peak_pids == 5


def test_a_long_series_stays_bounded_and_keeps_its_shape_and_its_totals(monkeypatch):
    monkeypatch.setattr(Series, "MOST", 8)
    attempt, other = make_attempt(AttemptState.RUNNING), make_attempt(AttemptState.RUNNING, job=make_job())
    store_readings(other, *[READING] * 3)
    for number in range(60):  # one each 5 s; the 4th has the peak, and does not survive the thinning
        at = NOW + timedelta(seconds=5 * number)
        store_readings(attempt, Usage(at=at, pids=number, memory_bytes=999 if number == 3 else 1))
        assert UsageSample.objects.filter(attempt=attempt).count() <= 8
    kept = list(UsageSample.objects.filter(attempt=attempt).order_by("at").values_list("pids", flat=True))
    steps = {after - before for before, after in pairwise(kept)}
    assert len(kept) >= 4
    assert kept[0] == 0
    assert max(steps) < 2 * min(steps)
    assert totals_of(attempt).peak_memory_bytes == 999
    assert totals_of(attempt).peak_pids == 59
    assert UsageSample.objects.filter(attempt=other).count() == 1  # within one interval of each other


def test_an_attempt_that_ended_tells_only_what_its_readings_cover():
    attempt = make_attempt(AttemptState.RUNNING)
    store_readings(
        attempt, Usage(at=NOW, cpu_seconds=1.0), Usage(at=NOW + timedelta(seconds=9), cpu_seconds=2.0)
    )
    attempt = Attempt.objects.get(pk=attempt.pk)
    assert usage.figures(attempt)["cpu_seconds"] == 2.0
    attempt.state, attempt.started_at, attempt.finished_at = "ended", NOW, NOW + timedelta(seconds=10)
    assert usage.figures(attempt)["cpu_seconds"] == 2.0
    attempt.finished_at += timedelta(seconds=60)
    assert usage.figures(attempt) == dict.fromkeys(FIGURES)

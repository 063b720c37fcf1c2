"""Readings of containers, and the totals kept of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db.models.functions import Now

from hosts.executors.contract import Usage
from jobs import usage
from jobs.models import UsageSample
from jobs.states import OPEN_STATES, AttemptState
from jobs.usage import UsageTotals
from tests.jobs.attempts import everything, make_attempt
from tests.support.factories import make_job

READING = Usage(
    memory_bytes=5_000_000_000,
    cpu_seconds=1.5,
    network_rx_bytes=1,
    network_tx_bytes=2,
    block_read_bytes=3,
    block_write_bytes=4,
    pids=5,
)


def totals(*readings: Usage) -> UsageTotals:
    made = UsageTotals()
    for reading in readings:
        made.add(reading)
    return made


class TestTotals:
    def test_without_readings_nothing_is_known(self):
        assert totals().average_memory_bytes is None
        assert totals(Usage(), Usage()) == totals()

    def test_memory_has_a_peak_and_a_mean(self):
        made = totals(*(Usage(memory_bytes=size) for size in (10, 40, 10)))
        assert (made.peak_memory_bytes, made.average_memory_bytes) == (40, 20)

    def test_a_reading_without_memory_does_not_count_for_the_mean(self):
        assert totals(Usage(memory_bytes=10), Usage(pids=3)).average_memory_bytes == 10

    def test_nothing_used_is_not_the_same_as_not_known(self):
        made = totals(Usage(memory_bytes=0, cpu_seconds=0.0, pids=0))
        assert (made.peak_memory_bytes, made.average_memory_bytes, made.cpu_seconds, made.peak_pids) == (
            0,
            0,
            0,
            0,
        )
        assert made.network_rx_bytes is None

    def test_counters_are_the_highest_ever_seen(self):
        made = totals(*(Usage(cpu_seconds=seconds, network_rx_bytes=9) for seconds in (1.0, 3.0, 2.0)))
        assert (made.cpu_seconds, made.network_rx_bytes) == (3.0, 9)


@pytest.mark.django_db
class TestStored:
    def append(self, attempt, reading: Usage = READING) -> bool:
        return attempt.id in usage.append([usage.row(attempt.id, attempt.epoch, reading)])

    def test_a_reading_is_stored_as_it_is(self):
        attempt = make_attempt(AttemptState.RUNNING)
        assert self.append(attempt)
        row = UsageSample.objects.annotate(now=Now()).get()
        assert row.attempt == attempt
        assert abs(row.now - row.at) < timedelta(seconds=5)
        assert Usage(**{name: getattr(row, name) for name in READING.__slots__}) == READING

    def test_what_was_not_measured_stays_unknown(self):
        assert self.append(make_attempt(AttemptState.RUNNING), Usage(pids=1))
        assert UsageSample.objects.get().memory_bytes is None

    def test_a_reading_proves_that_the_container_was_seen(self):
        attempt = make_attempt(AttemptState.RUNNING, unknown_since_at=datetime.now(UTC))
        self.append(attempt)
        attempt.refresh_from_db()
        assert attempt.unknown_since_at is None

    @pytest.mark.parametrize("state", OPEN_STATES)
    def test_any_open_attempt_is_measured(self, state):
        assert self.append(make_attempt(state))

    def test_an_attempt_that_has_ended_is_not_measured(self):
        attempt = make_attempt(AttemptState.ENDED, outcome="user")
        before = everything()
        assert not self.append(attempt)
        assert everything() == before

    def test_a_writer_of_another_epoch_writes_nothing(self):
        attempt = make_attempt(AttemptState.RUNNING, unknown_since_at=datetime.now(UTC))
        before = everything()
        attempt.epoch += 1
        assert not self.append(attempt)
        assert everything() == before

    def test_many_attempts_are_measured_in_one_write(self):
        attempts = [make_attempt(AttemptState.RUNNING, job=make_job()) for _ in range(3)]
        rows = [usage.row(attempt.id, attempt.epoch, READING) for attempt in attempts]
        assert usage.append(rows) == {attempt.id for attempt in attempts}
        assert UsageSample.objects.count() == 3

    def test_who_takes_over_goes_on_with_the_totals_so_far(self):
        attempt, readings = make_attempt(AttemptState.RUNNING), [READING, Usage(memory_bytes=1_000_000_000)]
        for reading in readings:
            self.append(attempt, reading)
        assert UsageTotals.stored(attempt.id) == totals(*readings)

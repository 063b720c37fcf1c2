"""What readings come to, and when a figure may be told. No database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hosts.executors.contract import Usage
from jobs.measures import FIGURES, Series, UsageTotals

START = datetime(2026, 1, 1, tzinfo=UTC)
MIB = 2**20


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def totals(*readings: Usage) -> UsageTotals:
    made = UsageTotals()
    for reading in readings:
        made.add(reading)
    return made


def told(run_seconds: float, *readings: Usage) -> dict[str, Any]:
    return totals(*readings).told(START, at(run_seconds))


def memory(seconds: float, size: int, high: int | None = None, cache: int = 0) -> Usage:
    return Usage(at=at(seconds), memory_bytes=size, memory_high_bytes=high, cache_bytes=cache)


def test_without_readings_nothing_is_known():
    assert totals().so_far() == dict.fromkeys(FIGURES)
    assert told(10.0) == dict.fromkeys(FIGURES)


def test_nothing_used_is_not_the_same_as_not_known():
    figures = totals(Usage(at=at(1), memory_bytes=0, cpu_seconds=0.0, pids=0)).so_far()
    known = ("peak_memory_bytes", "average_memory_bytes", "cpu_seconds", "peak_pids")
    assert {name: value for name, value in figures.items() if value is not None} == dict.fromkeys(known, 0)


def test_counters_are_the_highest_ever_seen():
    made = totals(*(Usage(cpu_seconds=seconds, network_rx_bytes=9) for seconds in (1.0, 3.0, 2.0)))
    assert (made.cpu_seconds, made.network_rx_bytes) == (3.0, 9)


class TestWhatIsTold:
    def test_a_run_too_short_to_be_read_is_not_measured(self):
        assert told(0.05) == dict.fromkeys(FIGURES)

    @pytest.mark.parametrize("run_seconds", [1.0, 4.9, 60.0])
    def test_a_run_read_at_its_beginning_only_is_not_measured(self, run_seconds):
        reading = Usage(at=at(0.1), cpu_seconds=0.05, memory_bytes=1, pids=1, network_rx_bytes=0)
        assert told(run_seconds, reading) == dict.fromkeys(FIGURES)

    def test_a_run_of_less_than_a_second_is_not_measured_however_often_it_was_read(self):
        reads = [Usage(at=at(tenth / 10), cpu_seconds=0.2, memory_bytes=7, pids=2) for tenth in range(9)]
        assert told(0.95, *reads) == dict.fromkeys(FIGURES)

    def test_one_reading_late_in_a_short_run_is_enough(self):
        figures = told(1.2, Usage(at=at(1.0), cpu_seconds=0.2, memory_bytes=7, pids=2))
        assert (figures["cpu_seconds"], figures["peak_memory_bytes"], figures["peak_pids"]) == (0.2, 7, 2)

    def test_a_measure_that_no_reading_had_stays_unknown(self):
        figures = told(10, *(Usage(at=at(second), cpu_seconds=1.0) for second in range(10)))
        assert figures == {**dict.fromkeys(FIGURES), "cpu_seconds": 1.0}

    def test_after_a_gap_the_counters_are_told_and_what_needs_every_reading_is_not(self):
        readings = [
            Usage(at=at(second), cpu_seconds=second / 2, memory_bytes=5, pids=1)
            for second in (1, 6, 900, 905)
        ]
        figures = told(906, *readings)
        assert figures["cpu_seconds"] == 452.5
        assert figures["average_memory_bytes"] is figures["peak_memory_bytes"] is figures["peak_pids"] is None

    def test_the_kernels_own_peak_spans_a_gap(self):
        readings = [memory(second, 5, high) for second, high in ((1, 6), (6, 6), (900, 70), (905, 70))]
        figures = told(906, *readings)
        assert (figures["peak_memory_bytes"], figures["average_memory_bytes"]) == (70, None)

    def test_of_a_run_whose_end_is_not_known_it_is_told_what_was_seen(self):
        made = totals(Usage(at=at(5), cpu_seconds=2.0))
        assert made.told(START, None)["cpu_seconds"] == 2.0


class TestTheMean:
    def test_it_is_over_time_however_often_it_was_read(self):
        often_at_first = [memory(second / 10, 0) for second in range(11)]
        then = [memory(second, 100) for second in (1.0, 5.0, 9.0)]
        assert totals(*often_at_first, *then).average_memory_bytes == pytest.approx(89, abs=1)

    def test_of_one_reading_it_is_that_reading(self):
        assert totals(memory(1, 42)).average_memory_bytes == 42

    def test_a_reading_without_memory_does_not_count(self):
        assert totals(memory(1, 10), Usage(at=at(2), pids=3), memory(3, 10)).average_memory_bytes == 10


class TestThePeak:
    def peak(self, readings: Sequence[Usage]) -> int | None:
        return totals(*readings).peak_memory_bytes

    def test_it_is_the_largest_reading_where_the_kernel_tells_none(self):
        assert self.peak([memory(1, 10), memory(2, 40), memory(3, 20)]) == 40

    def test_a_spike_between_two_readings_is_in_the_kernels(self):
        assert self.peak([memory(1, 2 * MIB, 11 * MIB), memory(6, 2 * MIB, 300 * MIB)]) == 300 * MIB

    def test_what_the_engine_used_before_the_job_began_is_not_the_jobs(self):
        assert self.peak([memory(1, 1 * MIB, 11 * MIB), memory(6, 1 * MIB, 11 * MIB)]) == 1 * MIB

    def test_the_page_cache_is_no_need_of_memory(self):
        readings = [memory(1, MIB, 11 * MIB), memory(6, MIB, 900 * MIB, cache=899 * MIB)]
        assert self.peak(readings) == MIB

    def test_a_page_cache_that_went_away_meanwhile_is_no_need_of_memory_either(self):
        readings = [memory(1, MIB, 11 * MIB), memory(6, MIB, 900 * MIB, cache=899 * MIB)]
        assert self.peak([*readings, memory(11, MIB, 900 * MIB)]) == MIB

    def test_at_its_limit_the_kernels_peak_is_the_limit(self):
        assert self.peak([memory(1, 5, 10), memory(2, 5, 100), memory(3, 5, None)]) == 5


class TestSeries:
    def run(self, readings: int, every_seconds: float = 5.0) -> Series:
        series, rows = Series(), 0
        for number in range(readings):
            series, keep, thin = series.after(number * every_seconds)
            rows = (rows // 2 if thin else rows) + keep
            assert rows == series.kept <= Series.MOST
        return series

    def test_it_is_bounded_however_long_the_run(self):
        week = self.run(7 * 24 * 720)
        assert Series.MOST / 2 <= week.kept <= Series.MOST
        assert 1280 <= week.every_seconds <= 5120

    def test_short_runs_keep_everything(self):
        assert self.run(100).kept == 100

    def test_readings_closer_together_are_not_kept(self):
        assert self.run(50, every_seconds=0.1).kept == 2

    def test_totals_are_written_every_few_seconds_at_first_and_once_a_minute_later(self):
        assert Series().is_due(0.0)
        assert not Series(written_at=0.0).is_due(3.0)
        assert Series(written_at=0.0).is_due(5.0)
        sparse = Series(every_seconds=2560.0, written_at=0.0)
        assert not sparse.is_due(50.0)
        assert sparse.is_due(60.0)

    def test_a_clock_that_was_set_back_does_not_stop_it(self):
        assert Series(written_at=1000.0).is_due(10.0)
        assert Series(kept=1, kept_at=1000.0).after(10.0)[1]

"""The threads that read what containers use: how often, how much they keep, and how they end."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator

import pytest

from hosts.errors import DockerConnectionError
from hosts.executors.contract import Usage
from jobs.measures import UsageTotals
from supervisor.worker import sampler as module
from supervisor.worker.sampler import Sampler, UsageRead
from tests.support.waiting import wait_until

RUN = uuid.uuid4()


class FakeExecutor:
    """Answers with the number of the call; `answer` may do anything instead."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.closed = 0
        self.answer: Callable[[int], Usage | None] = lambda number: Usage(memory_bytes=number, pids=1)

    def usage(self, container_id: str) -> Usage | None:
        self.calls.append(container_id)
        return self.answer(len(self.calls))

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def executor() -> FakeExecutor:
    return FakeExecutor()


@pytest.fixture
def sampler(executor: FakeExecutor) -> Iterator[Sampler]:
    sampler = Sampler(executor)  # type: ignore[arg-type]
    yield sampler
    sampler.stop()


def first(sampler: Sampler) -> UsageRead:
    return wait_until(sampler.take)[0]


def test_the_first_reading_comes_at_once(sampler: Sampler, executor: FakeExecutor) -> None:
    sampler.watch(RUN, "c1", UsageTotals())
    read = first(sampler)
    assert (read.run_id, executor.calls[0]) == (RUN, "c1")
    assert read.usage.at is not None


def test_nothing_piles_up_while_nobody_takes_and_no_peak_is_missed(
    sampler: Sampler, executor: FakeExecutor
) -> None:
    executor.answer = lambda number: Usage(memory_bytes=900 if number == 2 else 1)
    sampler.watch(RUN, "c1", UsageTotals())
    wait_until(lambda: len(executor.calls) >= 5, 10)
    taken = sampler.take()
    assert len(taken) == 1
    assert (taken[0].usage.memory_bytes, taken[0].totals.peak_memory_bytes) == (1, 900)
    assert sampler.take() == [] or len(executor.calls) > 5


def test_who_takes_over_goes_on_with_the_totals(sampler: Sampler) -> None:
    before = UsageTotals(peak_pids=77)
    sampler.watch(RUN, "c1", before)
    assert first(sampler).totals.peak_pids == 77
    assert before == UsageTotals(peak_pids=77)


def test_what_was_taken_does_not_change_any_more(sampler: Sampler, executor: FakeExecutor) -> None:
    sampler.watch(RUN, "c1", UsageTotals())
    read = first(sampler)
    peak = read.totals.peak_memory_bytes
    wait_until(lambda: len(executor.calls) >= 4, 10)
    assert read.totals.peak_memory_bytes == peak


def test_watching_twice_is_as_once(sampler: Sampler, executor: FakeExecutor) -> None:
    for _ in range(10):
        sampler.watch(RUN, "c1", UsageTotals())
    first(sampler)
    assert len(executor.calls) == 1


def test_a_forgotten_run_is_read_no_more(sampler: Sampler, executor: FakeExecutor) -> None:
    sampler.watch(RUN, "c1", UsageTotals())
    first(sampler)
    sampler.forget(RUN)
    sampler.watch(uuid.uuid4(), "c2", UsageTotals())
    wait_until(lambda: executor.calls.count("c2") >= 3, 10)
    assert executor.calls.count("c1") <= 2


@pytest.mark.parametrize("error", [DockerConnectionError("away"), ValueError("a bug")])
def test_readings_that_fail_are_tried_again_with_growing_waits(
    sampler: Sampler, executor: FakeExecutor, error: Exception
) -> None:
    def fail_at_first(number: int) -> Usage:
        if number < 3:
            raise error
        return Usage(pids=1)

    executor.answer = fail_at_first
    sampler.watch(RUN, "c1", UsageTotals())
    assert first(sampler).usage.pids == 1
    assert len(executor.calls) == 3


def test_a_reading_that_hangs_holds_up_no_other(sampler: Sampler, executor: FakeExecutor) -> None:
    release = threading.Event()

    def hang(number: int) -> Usage:
        if number == 1:
            release.wait(20)
        return Usage(pids=number)

    executor.answer = hang
    sampler.watch(RUN, "hangs", UsageTotals())
    wait_until(lambda: executor.calls)
    sampler.watch(uuid.uuid4(), "c2", UsageTotals())
    assert first(sampler).run_id != RUN
    release.set()


def test_stopping_waits_for_nothing_and_every_thread_closes_its_client(
    sampler: Sampler, executor: FakeExecutor
) -> None:
    began = time.monotonic()
    sampler.stop()
    assert time.monotonic() - began < 1
    wait_until(lambda: executor.closed == module.THREADS)


def test_waiting_costs_nothing(sampler: Sampler, executor: FakeExecutor) -> None:
    sampler.watch(RUN, "c1", UsageTotals())
    first(sampler)
    before, calls = time.process_time(), len(executor.calls)
    wait_until(lambda: len(executor.calls) >= calls + 3, 10)
    assert time.process_time() - before < 0.2


class TestHowOften:
    def gap(self, age_seconds: float, took_seconds: float = 0.0, in_vain: int = 0) -> float:
        target = module._Target(RUN, "c", UsageTotals(), in_vain=in_vain)
        target.since -= age_seconds
        return target.gap(took_seconds)

    @pytest.mark.parametrize(
        ("age", "gap"), [(0.0, 0.1), (1.0, 0.1), (10.0, 1.0), (50.0, 5.0), (9999.0, 5.0)]
    )
    def test_the_last_reading_misses_a_tenth_of_the_run_at_most(self, age: float, gap: float) -> None:
        assert self.gap(age) == pytest.approx(gap, rel=0.01)

    def test_an_engine_that_takes_a_second_is_asked_less_often(self) -> None:
        assert self.gap(0.0, took_seconds=1.0) == 2.0
        assert self.gap(500.0, took_seconds=1.0) == 5.0

    def test_a_container_that_cannot_be_read_is_left_alone_for_longer_and_longer(self) -> None:
        gaps = [self.gap(0.0, in_vain=times) for times in (1, 3, 50)]
        assert gaps == [0.2, 0.8, 5.0]

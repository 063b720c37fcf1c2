"""What a worker writes of its readings, and what the next worker makes of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError

from hosts.executors.contract import Observation, Usage
from jobs.measures import FIGURES
from jobs.models import Attempt, UsageSample
from jobs.states import AttemptState
from supervisor.worker import ledger
from supervisor.worker.breadcrumb import Breadcrumbs
from supervisor.worker.meter import Meter
from supervisor.worker.run import Run
from supervisor.worker.sampler import UsageRead
from tests.jobs.attempts import make_attempt
from tests.support.factories import make_job

pytestmark = pytest.mark.django_db
START = datetime(2026, 1, 1, tzinfo=UTC)


def read(run: Run, seconds: float, **fields: Any) -> UsageRead:
    """One more reading of the run, as the sampler hands it over."""
    usage = Usage(at=START + timedelta(seconds=seconds), **fields)
    run.usage.add(usage)
    return UsageRead(run.attempt_id, usage, run.usage)


def open_run(attempt: Attempt) -> Run:
    return ledger.open_runs(attempt.host_id, attempt.epoch, known=(), now=0.0, crumb=Breadcrumbs().main)[0]


def test_the_next_worker_goes_on_where_the_last_write_was():
    run = open_run(make_attempt(AttemptState.RUNNING, container_id="c1"))
    for seconds in (0, 5, 10):
        ledger.store_usage([read(run, seconds, memory_bytes=50 - seconds, pids=2)], {run.attempt_id: run})
    after = open_run(Attempt.objects.get())
    assert (after.usage, after.series) == (run.usage, run.series)
    assert after.usage.peak_memory_bytes == 50
    assert after.series.kept == UsageSample.objects.count() == 3


def test_a_write_that_did_not_hold_leaves_the_series_as_it_was():
    run = open_run(make_attempt(AttemptState.RUNNING, container_id="c1"))
    Attempt.objects.update(epoch=99)
    before = run.series
    ledger.store_usage([read(run, 0, pids=1)], {run.attempt_id: run})
    assert run.series == before
    assert not UsageSample.objects.exists()


def test_many_runs_are_written_together(django_assert_max_num_queries):
    attempt = make_attempt(AttemptState.RUNNING, container_id="c1")
    for _ in range(3):
        make_attempt(AttemptState.RUNNING, job=make_job(), container_id="c1")
    runs = {
        run.attempt_id: run
        for run in ledger.open_runs(attempt.host_id, 7, known=(), now=0.0, crumb=Breadcrumbs().main)
    }
    with django_assert_max_num_queries(5):
        ledger.store_usage([read(run, 0, pids=1) for run in runs.values()], runs)
    assert UsageSample.objects.count() == 4


@pytest.mark.parametrize(("run_seconds", "cpu_seconds"), [(10.0, 4.0), (100.0, None)])
def test_the_end_tells_only_what_the_readings_cover(run_seconds: float, cpu_seconds: float | None):
    run = open_run(make_attempt(AttemptState.RUNNING, container_id="c1"))
    read(run, 9.5, cpu_seconds=4.0)
    run.seen = Observation(
        container_id="c1",
        name="n",
        state="exited",
        labels={},
        exit_code=0,
        started_at=START,
        finished_at=START + timedelta(seconds=run_seconds),
    )
    row = ledger._end_row(run, "h", "w")
    assert {name: row[name] for name in FIGURES} == {**dict.fromkeys(FIGURES), "cpu_seconds": cpu_seconds}


class FakeSampler:
    """Hands over what a test puts in."""

    def __init__(self) -> None:
        self.reads: list[UsageRead] = []

    def take(self) -> list[UsageRead]:
        taken, self.reads = self.reads, []
        return taken


class TestMeter:
    @pytest.fixture
    def run(self) -> Run:
        return open_run(make_attempt(AttemptState.RUNNING, container_id="c1"))

    def stored(self, run: Run, *seconds: float, everything: bool = False) -> int:
        """How many samples there are after readings at these times, each written if it is due."""
        sampler = FakeSampler()
        meter, runs = Meter(sampler), {run.attempt_id: run}  # type: ignore[arg-type]
        for second in seconds:
            sampler.reads = [read(run, second, pids=1)]
            meter.take(runs)
            meter.store(runs, everything=everything)
        return UsageSample.objects.count()

    def test_readings_close_together_are_not_all_written(self, run: Run):
        assert self.stored(run, *(tenth / 10 for tenth in range(30))) == 1

    def test_one_is_written_every_five_seconds(self, run: Run):
        assert self.stored(run, *range(21)) == 5

    def test_who_leaves_writes_the_totals_whenever_they_were_written_last(self, run: Run):
        assert self.stored(run, 0.0, 1.0, everything=True) == 1
        assert (
            Attempt.objects.get().measured["totals"]["last_at"] == (START + timedelta(seconds=1)).timestamp()
        )

    def test_a_run_that_has_exited_is_written_with_its_end_only(self, run: Run):
        run.state = AttemptState.EXITED
        assert self.stored(run, 0.0) == 0

    def test_readings_of_a_run_that_is_gone_are_let_go(self, run: Run):
        sampler = FakeSampler()
        sampler.reads = [read(run, 0.0, pids=1)]
        meter = Meter(sampler)  # type: ignore[arg-type]
        meter.take({run.attempt_id: run})
        meter.store({}, everything=True)
        assert meter._readings == {}

    def test_while_the_database_is_away_one_reading_a_run_is_held(self, run: Run, monkeypatch):
        def away(*_args: Any) -> None:
            raise OperationalError("away")

        monkeypatch.setattr(ledger, "store_usage", away)
        sampler, runs = FakeSampler(), {run.attempt_id: run}
        meter = Meter(sampler)  # type: ignore[arg-type]
        for second in range(100):
            sampler.reads = [read(run, second, pids=second)]
            meter.take(runs)
            with pytest.raises(OperationalError):
                meter.store(runs, everything=True)
        assert [reading.usage.pids for reading in meter._readings.values()] == [99]

"""Brings what the sampler read to the runs, and to the database when it is time. Main thread only."""

from __future__ import annotations

from uuid import UUID

from jobs.states import AttemptState
from supervisor.worker import ledger
from supervisor.worker.run import Run
from supervisor.worker.sampler import Sampler, SamplerOnDemand, UsageRead


class Meter:
    """Holds one reading a run, the newest, until it is written: nothing piles up while the database hangs."""

    def __init__(self, sampler: Sampler | SamplerOnDemand) -> None:
        self._sampler = sampler
        self._readings: dict[UUID, UsageRead] = {}

    def take(self, runs: dict[UUID, Run]) -> None:
        """Give each run the totals of what was read since the last time."""
        for reading in self._sampler.take():
            if run := runs.get(reading.run_id):
                run.usage = reading.totals
                self._readings[reading.run_id] = reading

    def store(self, runs: dict[UUID, Run], *, everything: bool) -> None:
        """Write what is due; `everything` when leaving, for who comes after goes on with these totals."""
        # What a run that has exited came to is written with its end.
        running = {
            key for key, run in runs.items() if run.state in (AttemptState.RUNNING, AttemptState.STOPPING)
        }
        self._readings = {key: one for key, one in self._readings.items() if key in running}
        due = [one for one in self._readings.values() if everything or _is_due(one, runs[one.run_id])]
        if due:
            ledger.store_usage(due, runs)
        for reading in due:
            del self._readings[reading.run_id]


def _is_due(reading: UsageRead, run: Run) -> bool:
    return run.series.is_due(reading.totals.last_at or 0.0)

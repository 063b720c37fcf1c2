"""Writes what the runs of a host have come to, and lets go of what was held for it. Main thread only."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

import structlog

from hosts.models import DockerHost
from jobs.states import AttemptState
from supervisor.worker import archive, declared, ledger, log_ledger, stopping
from supervisor.worker.claiming import Refill
from supervisor.worker.engine import Engine
from supervisor.worker.meter import Meter
from supervisor.worker.pulls import Pulls
from supervisor.worker.run import Need, Run
from supervisor.worker.settings import WorkerSettings

logger = structlog.get_logger(__name__)


class Recorder:
    """One for each lease. What fails in the middle when the database goes away is done by the next write."""

    def __init__(
        self, runs: dict[UUID, Run], engine: Engine, pulls: Pulls, host: DockerHost, settings: WorkerSettings
    ) -> None:
        self._runs, self._engine, self._pulls = runs, engine, pulls
        self._host, self._settings = host, settings
        self._meter = Meter(engine.sampler)
        self._crumb = settings.crumbs.main
        self._log = logger.bind(host=host.name, epoch=engine.hands.lease.epoch)

    def write(self, now: float, *, everything: bool, refill: Refill | None = None) -> list[Run]:
        """Write whatever waits; the runs whose attempts have ended with it. `everything`: we are leaving."""
        until = float("inf") if everything else now
        held, stale = ledger.write_moves(self._runs.values(), self._settings.who, self._crumb, until=until)
        for run in held:
            self._moved(run, now)
        ledger.write_phases(self._pulls.news(now), self._runs)
        try:
            log_ledger.store_logs(self._runs.values(), self._crumb)
        finally:
            self._tell_freed()
        self._meter.take(self._runs)
        self._meter.store(self._runs, everything=everything)
        ended, lost = self._write_ends(refill)
        for run in [run for run in self._runs.values() if run.need is Need.GONE]:
            self._forget(run)
        self._let_go([*stale, *lost])
        return ended

    def let_go_of_declared(self) -> None:
        """Forget the runs whose attempts somebody has called lost."""
        if self._runs and not self._engine.can.lists:
            self._let_go(declared.over(self._runs.values(), self._engine.hands.lease))

    def _let_go(self, runs: Iterable[Run]) -> None:
        for run in runs:
            self._log.warning(
                "attempt is not ours any more", attempt_id=str(run.attempt_id), job=str(run.job_id)
            )
            self._forget(run)

    def _moved(self, run: Run, now: float) -> None:
        assert run.move is not None
        move, run.move = run.move, None
        run.state = ledger.state_after(move.kind) or run.state
        if run.need is not Need.SIGNAL or move.kind != "describe":
            run.need = move.then
        if move.kind != "describe":
            run.phase = ""  # the row says so too
            words = {"job": str(run.job_id), "attempt": run.number, "container": run.container_id[:12]}
            self._log.info(f"attempt {run.state}", **words)
        if move.kind == "to_running" and run.deadline_clock is None:
            run.deadline_clock = now + run.spec["timeout_seconds"]
        elif move.kind == "to_stopping":
            run.stop_reason, run.stopping_at = move.row["stop_reason"], move.row["asked_at"]
            stopping.begin(run, now)

    def _write_ends(self, refill: Refill | None) -> tuple[list[Run], list[Run]]:
        """Write the ends that are due; the runs that ended, and those that are not ours any more."""
        ending = [run for run in self._runs.values() if run.need is Need.END]
        archived = [run for run in ending if run.archived]
        rest = [run for run in ending if not run.archived]
        lost: list[Run] = []
        ended: list[Run] = []
        if archived:
            noted, lost = archive.write(archived, self._settings.who)
            for run in noted:
                self._log.info("container archived", job=str(run.job_id), attempt=run.number)
                self._close(run, remove=True)
        if rest:
            words = self._host.name, self._settings.who
            ended, stale = ledger.write_ends(rest, *words, self._crumb, refill=refill)
            lost += stale
            for run in ended:
                outcome = str(run.verdict and run.verdict.outcome)
                self._log.info("attempt ended", job=str(run.job_id), attempt=run.number, outcome=outcome)
                self._close(run, remove=self._settings.keep.hours <= 0)
        return ended, lost

    def _close(self, run: Run, *, remove: bool) -> None:
        run.state, run.move = AttemptState.ENDED, None
        run.need = Need.REMOVE if run.container_id and remove else Need.GONE
        self._free(run)
        self._engine.sampler.forget(run.attempt_id)

    def _forget(self, run: Run) -> None:
        self._runs.pop(run.attempt_id, None)
        self._free(run)
        self._engine.pump.forget(run.attempt_id)
        self._engine.sampler.forget(run.attempt_id)

    def _free(self, run: Run) -> None:
        while run.pieces:
            self._engine.pump.stored(run.attempt_id, run.pieces.popleft().held)

    def _tell_freed(self) -> None:
        for run in self._runs.values():
            if run.freed_bytes:
                self._engine.pump.stored(run.attempt_id, run.freed_bytes)
                run.freed_bytes = 0

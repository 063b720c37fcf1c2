"""Runs of what a returned host, once declared lost, still has: stopped, read to the end, noted and removed.

They go the way of any run that is being stopped, but that none of their moves is written: their attempts have
ended, and stay so. See `jobs.archive`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from hosts.executors.contract import Observation
from jobs import archive, reconcile
from jobs.states import AttemptState, StopReason
from supervisor.worker import execution, ledger
from supervisor.worker.run import Need, Run


def begin(present: Iterable[Observation], host_id: UUID, epoch: int) -> list[Run]:
    """Runs for those of the containers whose attempts were declared lost on this host."""
    runs = []
    for attempt in archive.take(host_id, epoch, reconcile.keys(present)):
        run = Run.of(attempt, infra_failures=0)
        run.archived, run.state, run.need = True, AttemptState.STOPPING, Need.OBSERVE
        run.container_id, run.stop_reason = "", StopReason.DECLARED_LOST
        run.logs_note = ""  # it said that the host was lost, with the rest of the log
        runs.append(run)
    return runs


def write(runs: Sequence[Run], who: str) -> tuple[list[Run], list[Run]]:
    """Store the rest of their logs and how they ended; those that held, and those that are not ours now."""
    return ledger.write_last(runs, lambda: archive.finish([_row(run, who) for run in runs]))


def _row(run: Run, who: str) -> dict[str, Any]:
    code = run.seen.exit_code if run.seen else None
    texts = execution.texts(run)
    return {
        **run.identity,
        "who": who,
        "message": archive.words(code),
        "exit_code": code,
        "finished_at": run.seen.finished_at if run.seen else None,
        "logs_complete": not run.logs_note,
        "logs_note": run.logs_note,
        **texts,
    }

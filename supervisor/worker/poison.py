"""Keeping an attempt that crashes its worker from taking all others along.

A crash is counted against the attempt that was being handled (`supervisor.deaths`). Its next worker looks
after the others first, and after three crashes it does no more for it than stop it: its log is not read, and
of what its engine says only whether it still runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import structlog

from supervisor.worker.breadcrumb import SURVIVED, Crumb
from supervisor.worker.run import LogStage, Run

logger = structlog.get_logger(__name__)
Result = TypeVar("Result")

_OTHERS_FIRST_SECONDS = 0.5
_LOG_NOTE = "The log was not read any further: handling this attempt crashed worker after worker."


def approach(run: Run, now: float) -> None:
    """Take in hand, with care, an attempt that may have killed an earlier worker."""
    if run.is_poison:
        run.log, run.logs_note = LogStage.DONE, _LOG_NOTE
    elif run.worker_kills:
        run.resume_clock = run.log_clock = now + _OTHERS_FIRST_SECONDS * run.worker_kills


def by_name(write: Callable[[Sequence[Run]], Result], runs: Sequence[Run], crumb: Crumb) -> list[Result]:
    """Write all runs in one batch; if that crashes, each alone, so that the one at fault crashes by its name.

    The others are written before it does. More than one result only where the batch crashed and no run alone.
    """
    if len(runs) > 1:
        try:
            return [write(runs)]
        except SURVIVED:
            raise
        except Exception:  # told here, and raised again below unless it was the batch itself
            logger.exception("a batch crashed; its attempts are written one by one", attempts=len(runs))
    results: list[Result] = []
    failed: tuple[Run, Exception] | None = None
    for run in runs:
        try:
            with crumb(run.attempt_id):
                results.append(write([run]))
        except SURVIVED:
            raise
        except Exception as exc:  # noqa: BLE001 (raised again below, once the others are written)
            failed = failed or (run, exc)
    if failed:
        run, error = failed
        with crumb(run.attempt_id):
            raise error
    return results

"""Ending containers on purpose: why, with which signal, and when the next one is due. Pure.

`stop_reason` is written, fenced, before the first signal, so that whoever takes over knows that it was us.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from jobs.outcome import short_signal
from jobs.states import NOT_STARTED, AttemptState, StopReason
from supervisor.worker.run import Need, Run, is_late

_KILL_AGAIN_SECONDS = 10.0
_TO_BE_STARTED = (Need.ENSURE, Need.PULL, Need.START)


def stop_wanted(run: Run, now: float) -> StopReason | None:
    """Why the run is to be stopped, if it is and that has not been written yet."""
    if run.stop_reason or run.state in (AttemptState.EXITED, AttemptState.ENDED):
        return None
    if run.cancel_wanted:
        return StopReason.CANCELLED
    if run.is_poison:
        return StopReason.POISON
    if run.deadline_clock is not None and now >= run.deadline_clock:
        return StopReason.TIMEOUT
    if run.is_starting and run.state in NOT_STARTED and is_late(run, now):
        return StopReason.START_DEADLINE
    return StopReason.DRAINED if run.drained else None


def want_cancel(run: Run, now: float, *, force: bool) -> None:
    """Somebody cancelled the job; `force` cuts the grace short, one under way too."""
    run.cancel_wanted = True
    if force and not run.cancel_force:
        run.cancel_force = True
        run.kill_clock = now if run.signal not in {"", "KILL"} else run.kill_clock


def stop_due(runs: Iterable[Run], now: float, *, can_stop: bool = True) -> bool:
    """Begin to stop the runs that are cancelled or over their time, and go on with those being stopped.

    Whether there is something to be written before the first signal of one. What cannot be stopped ends by
    itself, and with its own result.
    """
    begun = False
    for run in runs:
        if not can_stop:
            run.deadline_clock = None
            continue
        may_run = run.state is AttemptState.RUNNING or run.is_starting
        reason = stop_wanted(run, now) if may_run and run.move is None else None
        if reason:
            run.resume_clock = now if run.is_starting else run.resume_clock
            run.prepare(
                "to_stopping",
                Need.SIGNAL,
                reason.label.lower(),
                stop_reason=reason,
                asked_at=datetime.now(UTC),
            )
            begun = True
        elif run.state is AttemptState.STOPPING and (run.need is Need.WATCH or _is_to_be_sent_again(run)):
            _go_on(run, now)
    return begun


def _is_to_be_sent_again(run: Run) -> bool:
    """Whether the engine would not send a signal: one that it does not know must not keep KILL away."""
    return run.need is Need.SIGNAL and not run.busy


def _go_on(run: Run, now: float) -> None:
    if not run.signal:  # adopted while it was being stopped
        begin(run, now)
    elif run.kill_clock is not None and now >= run.kill_clock:
        run.signal, run.need, run.kill_clock = "KILL", Need.SIGNAL, now + _KILL_AGAIN_SECONDS
        run.resume_clock = now


def begin(run: Run, now: float) -> None:
    """Ask for the first signal: the job's stop signal, or KILL where there is no grace."""
    grace = 0 if run.cancel_force else run.spec["stop_grace_seconds"]
    run.signal = (short_signal(run.spec["stop_signal"]) or "TERM") if grace else "KILL"
    run.kill_clock = now + (grace or _KILL_AGAIN_SECONDS)
    run.need = Need.SIGNAL


def _may_be_late(run: Run) -> bool:
    if run.state not in NOT_STARTED:
        return False
    # Where only the engine knows whether it has started, it is asked however late it is.
    return run.is_starting or (run.need in _TO_BE_STARTED and not (run.withdrawing or run.start_sent))


def clocks_of(run: Run) -> list[float]:
    """When the run next wants something that no message will tell, on the boot clock."""
    reading = run.need is Need.COLLECT or run.state in (AttemptState.RUNNING, AttemptState.STOPPING)
    clocks = [run.log_clock] if run.log_clock and reading and run.need is not Need.OBSERVE else []
    if run.start_deadline_clock is not None and _may_be_late(run):
        clocks.append(run.start_deadline_clock)
    if run.busy:
        return clocks
    if run.move:
        return [*clocks, run.look_clock] if run.untold_start else clocks
    if run.deadline_clock is not None and run.state is AttemptState.RUNNING and not run.stop_reason:
        clocks.append(run.deadline_clock)
    if run.need is Need.WATCH:
        clocks.append(max(run.look_clock, run.resume_clock))
    elif run.need not in (Need.COLLECT, Need.GONE):
        clocks.append(run.resume_clock)
    if run.need in (Need.WATCH, Need.SIGNAL) and run.kill_clock is not None:
        clocks.append(run.kill_clock)
    return clocks

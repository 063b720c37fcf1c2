"""What an engine's event means for the runs of its host: mostly, that it is time to look. Pure."""

from __future__ import annotations

import signal
from collections.abc import Iterable

from hosts.executors.contract import Hint
from jobs.outcome import signal_number
from supervisor.worker.run import Run

_LOOK_NOW = {"die", "oom", "stop"}
_ENDING = {signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGQUIT}


def take(hint: Hint, runs: Iterable[Run], now: float) -> None:
    """Let the runs that it concerns know."""
    for run in runs:
        if hint.container_id is None:
            run.look_clock = now
            run.engine_away = run.engine_away or hint.action == "disconnected"
            continue
        # Before a create is answered only the label tells whose container it is.
        if hint.container_id == run.container_id or (hint.job and hint.job == str(run.job_id)):
            run.engine_log.hear(hint)
        if hint.container_id == run.container_id:
            _take(hint, run, now)


def _take(hint: Hint, run: Run, now: float) -> None:
    if run.is_starting and not run.trouble and hint.action in {"start", *_LOOK_NOW}:
        run.resume_clock = now
    if hint.action in _LOOK_NOW:
        run.look_clock = now
        run.heard_die = run.heard_die or hint.action == "die"
    if hint.action == "kill" and _is_to_end(hint, run):
        if run.signal:
            run.signalled_at = run.signalled_at or hint.at
        elif not run.stop_reason:
            run.killed_outside = True
    elif hint.action == "oom" and not run.oom_seen:
        run.oom_seen = True
        run.engine_log.note("oom")


def _is_to_end(hint: Hint, run: Run) -> bool:
    """Whether the signal is one to end a container with; a HUP or USR1 says something to its program."""
    number = hint.detail.removeprefix("signal ")
    return number.isdecimal() and int(number) in {*_ENDING, signal_number(run.spec["stop_signal"])}

"""What an exit means, in one word for machines and one sentence for people. Pure."""

from __future__ import annotations

import signal
from dataclasses import dataclass, replace
from datetime import datetime

from jobs.states import POISON_AFTER, Outcome, StopReason

_SIGNAL_BASE = 128
_COMMAND_NOT_EXECUTABLE = 126
_FROM_OUTSIDE = {_SIGNAL_BASE + signal.SIGTERM, _SIGNAL_BASE + signal.SIGKILL}
_COMMAND_NOT_FOUND = 127

KILLS_WORKER = "kills_worker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a container ended, as its engine tells, and what we had asked of it.

    `stopping_at` is by our clock; `signalled_at`, by the engine's, is when it told of our first signal.
    `killed_outside`: the engine told of a signal that we did not send. `engine_away`: the engine could not be
    reached for a while since the container started.
    """

    exit_code: int | None
    oom_killed: bool = False
    finished_at: datetime | None = None
    stop_reason: str = ""
    stopping_at: datetime | None = None
    signalled_at: datetime | None = None
    error: str = ""
    memory_limit: int | None = None  # MB
    timeout_seconds: int = 0
    stop_signal: str = "SIGTERM"
    killed_outside: bool = False
    engine_away: bool = False
    ended_by: str = ""  # as of an Observation
    ran: bool = True  # False: nothing tells that anything of it ever ran
    start_deadline_seconds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The outcome, and for a failed job its class, a sentence and a hint (empty when it succeeded)."""

    outcome: Outcome
    failure_class: str = ""
    message: str = ""
    hint: str = ""


def judge(end: Exit) -> Verdict:
    """What happened. A container that had finished before we signalled keeps its own result."""
    if end.stop_reason and (end.stop_reason == StopReason.POISON or not _finished_before_stop(end)):
        return _stopped(end)
    if end.exit_code == 0:
        return Verdict(outcome=Outcome.SUCCEEDED)
    if end.oom_killed:
        return _out_of_memory(end)
    if end.ended_by or end.exit_code is None:
        return _ended_by_engine(end)
    if end.killed_outside or end.exit_code in _FROM_OUTSIDE:
        return _interrupted(end, end.exit_code)
    return _failed(end.exit_code, end.error)


def kills_worker(*, started: bool) -> Verdict:
    """The end of an attempt that worker after worker crashed over, whatever became of its container."""
    stopped = "so it was stopped" if started else "so it was not started"
    return Verdict(
        outcome=Outcome.INTERRUPTED if started else Outcome.REJECTED,
        failure_class=KILLS_WORKER,
        message=f"Handling it crashed its worker {POISON_AFTER} times, {stopped}.",
        hint="The job's timeline says how the workers died, the supervisor's log where. Mend the cause, then "
        "retry the job: that never happens by itself.",
    )


def start_deadline_passed(seconds: int | None) -> Verdict:
    """The verdict on a job that waited longer than it may, and never started."""
    return Verdict(
        outcome=Outcome.REJECTED,
        failure_class="start_deadline",
        message=f"It had not started {seconds} s after it was submitted, and may wait no longer.",
        hint="See in its history what it waited for. Add room, or raise start_deadline_seconds.",
    )


def _finished_before_stop(end: Exit) -> bool:
    # Two machines' clocks: an exit by the very signals we send is ours, whatever they say.
    if (
        end.exit_code in {*_FROM_OUTSIDE, _SIGNAL_BASE + signal_number(end.stop_signal)}
        and not end.oom_killed
    ):
        return False
    if not end.finished_at or not end.stopping_at:
        return False
    return end.finished_at < min(end.stopping_at, end.signalled_at or end.stopping_at)


def _stopped(end: Exit) -> Verdict:
    if end.stop_reason == StopReason.POISON:
        return kills_worker(started=True)
    if end.stop_reason == StopReason.TIMEOUT:
        return Verdict(
            outcome=Outcome.TIMEOUT,
            failure_class="timeout",
            message=f"It ran longer than its {end.timeout_seconds} s and was stopped.",
            hint="Raise timeout_seconds of the template if the job needs longer.",
        )
    if end.stop_reason == StopReason.START_DEADLINE:
        late = start_deadline_passed(end.start_deadline_seconds)
        return replace(late, outcome=Outcome.INTERRUPTED) if end.ran else late
    if end.stop_reason == StopReason.DRAINED:
        return Verdict(
            outcome=Outcome.INTERRUPTED,
            failure_class="drained",
            message="Its host was drained, and it still ran when the time for that was over: it was stopped.",
            hint="Retry it. A job whose retry_on names `interrupted` runs again by itself, on another host.",
        )
    return Verdict(outcome=Outcome.CANCELLED, failure_class="cancelled", message="It was cancelled.")


def _ended_by_engine(end: Exit) -> Verdict:
    if not end.ended_by:
        return Verdict(
            outcome=Outcome.INTERRUPTED,
            failure_class="no_exit_code",
            message="The container ended, but its engine does not know how.",
            hint=end.error or "Look at the engine's own log on the host.",
        )
    said = end.error or "It does not say more."
    if end.ended_by == "timeout":
        return Verdict(
            outcome=Outcome.TIMEOUT,
            failure_class="timeout",
            message=f"Its engine ended it at a time limit of its own: {said}",
            hint="Raise the limit of the host (task_timeout of a Cloud Run host), or timeout_seconds.",
        )
    return Verdict(
        outcome=Outcome.INTERRUPTED,
        failure_class="killed",
        message=f"It was ended from outside, and not by Tallyman: {said}",
        hint="Its engine took its machine away, or somebody cancelled or deleted it there.",
    )


def _out_of_memory(end: Exit) -> Verdict:
    limit = f" (limit {end.memory_limit} MB)" if end.memory_limit else ""
    return Verdict(
        outcome=Outcome.OOM,
        failure_class="oom",
        message=f"It was killed because it ran out of memory{limit}.",
        hint="Raise memory_limit of the template, or make the job use less.",
    )


def _interrupted(end: Exit, exit_code: int) -> Verdict:
    if end.engine_away:
        return Verdict(
            outcome=Outcome.INTERRUPTED,
            failure_class="engine_stopped",
            message=f"Its engine was stopped or restarted, which ended it (exit code {exit_code}).",
            hint="With live-restore set, an engine lets its containers run on while it restarts.",
        )
    if end.killed_outside:
        return Verdict(
            outcome=Outcome.INTERRUPTED,
            failure_class="killed",
            message=f"It was stopped from outside (exit code {exit_code}), and not by Tallyman.",
            hint=end.error or "Somebody used docker stop or kill, or the engine was shut down.",
        )
    return Verdict(
        outcome=Outcome.INTERRUPTED,
        failure_class="signal",
        message=_signalled(exit_code),
        hint=end.error
        or "The machine ran out of memory, its engine was restarted, or the program did it itself.",
    )


def _signalled(exit_code: int) -> str:
    return f"It was ended by {_signal_name(exit_code)} (exit code {exit_code}), which Tallyman did not send."


def _failed(exit_code: int, error: str) -> Verdict:
    if exit_code == _COMMAND_NOT_FOUND:
        return _user("command_not_found", "The command was not found in the image (exit code 127).")
    if exit_code == _COMMAND_NOT_EXECUTABLE:
        return _user("command_not_executable", "The command is not executable in the image (exit code 126).")
    if _signal_name(exit_code):
        return Verdict(
            outcome=Outcome.USER,
            failure_class="signal",
            message=_signalled(exit_code),
            hint=error or "Look at the end of its log, and for who sent the signal.",
        )
    return Verdict(
        outcome=Outcome.USER,
        failure_class="exit_code",
        message=f"It ended with exit code {exit_code}.",
        hint=error or "The end of its log usually says why.",
    )


def _user(failure_class: str, message: str) -> Verdict:
    return Verdict(
        outcome=Outcome.USER,
        failure_class=failure_class,
        message=message,
        hint="Check the command, and the PATH of the image.",
    )


def signal_number(name: str) -> int:
    """The number of a signal by its name, `SIGINT` or `INT`; that of TERM for one that is unknown here."""
    known = signal.Signals.__members__.get(f"SIG{short_signal(name)}")
    return int(known or signal.SIGTERM)


def short_signal(name: str) -> str:
    """The name of a signal as executors want it: `INT` for `sigint`."""
    return name.upper().removeprefix("SIG")


def _signal_name(exit_code: int) -> str:
    try:
        return signal.Signals(exit_code - _SIGNAL_BASE).name
    except ValueError:
        return ""

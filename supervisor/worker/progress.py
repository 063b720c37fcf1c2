"""What the answer of each step means for its run. Pure: changes the run, calls nothing.

A run is changed by its worker's main thread only. Whatever has to be written is left in `run.move`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

from hosts.errors import ContainerExecutionError, EngineError, ImageMissing, LaunchFailed
from hosts.executors.contract import LABEL_PREFIX, Observation
from jobs import outcome
from jobs.adoption import Found, classify
from jobs.models.template import PullPolicy
from jobs.outcome import Exit, Verdict
from jobs.states import NOT_STARTED, AttemptState, Outcome, StopReason
from supervisor.worker import refusals
from supervisor.worker.run import (
    GIVE_UP_AFTER,
    OBSERVE_EVERY_SECONDS,
    LogStage,
    Need,
    Run,
    outcome_of_withdrawal,
)
from supervisor.worker.steps import StepDone

_FIRST_LOOK_SECONDS = 0.15
# Of those that wait long there may be many, and some engines take few calls.
_STARTING_LOOK_SECONDS = (1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 3.0)
_LOST_AFTER = 2
_ABSENT_WAIT_SECONDS = 2.0
_MOST_PULLS = 3
_PRUNED = "Look for something on the host that removes images, and write docker_image as the registry does."


def apply(run: Run, done: StepDone, *, installation: UUID, now: float) -> None:
    """Take the answer of the step that was in flight into the run."""
    run.busy = False
    if done.error is not None:
        _failed(run, done, now)
        return
    if done.step != "OBSERVE" or done.result is not None:
        run.note_answer()
    if done.step in _ANSWERS:
        _ANSWERS[done.step](run, done.result, installation, now)
    else:
        _done(run, done, now)


def _done(run: Run, done: StepDone, now: float) -> None:
    """A step that has nothing to tell but that it was done."""
    match done.step:
        case "SIGNAL":
            run.engine_log.note("kill", run.signal)
            run.need, run.look_clock = Need.WATCH, now + _FIRST_LOOK_SECONDS
        case "PULL" | "CLEAR":
            run.need = Need.ENSURE
        case "REMOVE":
            run.need = Need.GONE


def _started(run: Run, told: Any, installation: UUID, now: float) -> None:
    """`told` is the container's id if it has got another one, or the container that is still starting."""
    run.engine_log.note("start")
    if isinstance(told, Observation):
        _found(run, told, installation, now)
        return
    if isinstance(told, str) and 0 < len(told) <= refusals.LONGEST_ID:
        run.container_id = told
    soon = now + _FIRST_LOOK_SECONDS
    run.look_clock = now if run.heard_die else soon
    run.prepare("to_running", Need.WATCH, **_running_columns(run))
    if run.move:  # many a container has exited by then
        run.move.due_clock = soon


def _failed(run: Run, done: StepDone, now: float) -> None:
    error = done.error
    if isinstance(error, ImageMissing) and done.step == "ENSURE":
        _image_missing(run, error, now)
    elif isinstance(error, ContainerExecutionError) and done.step in {"ENSURE", "PULL", "START"}:
        reject(run, error)
    else:
        run.note_trouble(str(error), now, **_kind_of(error))
        if done.step == "START":
            # Each of them makes another container, so answers in between are no sign that it gets better.
            run.failed_starts += 1
            run.need = Need.OBSERVE
        elif done.step == "PULL":
            # The wait before another pull is the infra budget's: the slot is not held meanwhile.
            run.trouble = GIVE_UP_AFTER
        elif done.step == "ENSURE" and run.trouble >= GIVE_UP_AFTER:
            run.resume_clock = now  # the last try was made: withdrawn at once


def _kind_of(error: Exception | None) -> dict[str, str]:
    if not isinstance(error, EngineError):
        return {}
    return {"failure_class": error.failure_class, "hint": error.hint}


def secrets_unreadable(run: Run, error: Exception, now: float) -> None:
    """No key of ours decrypts them: the launch is given up, and tried again as any that cannot start."""
    hint = "Give the supervisor the key that they were encrypted with (TALLYMAN_SECRET_KEYS), and restart it."
    run.note_trouble(str(error), now, failure_class="secrets_unreadable", hint=hint)
    run.trouble = GIVE_UP_AFTER


def _image_missing(run: Run, error: ImageMissing, now: float) -> None:
    if run.spec["pull_policy"] == PullPolicy.NEVER:
        reject(run, refusals.never_pulled(run))
    elif run.pulls >= _MOST_PULLS:
        # The engine pulls it and has it not: a reference it reads in two ways, or somebody who prunes.
        message = f"The image was pulled {run.pulls} times, and still: {error}"
        run.note_trouble(message, now, failure_class="image_pull", hint=_PRUNED)
        run.trouble = GIVE_UP_AFTER
    else:
        _pull(run)


def pull_first(run: Run) -> bool:
    """Ask for the pull that comes before each launch, where the template wants one; False: go on."""
    # Once it was created, the attempt had its pull; its container may even run, and is to be looked after.
    is_new = run.state in {AttemptState.CLAIMED, AttemptState.PULLING} and not run.pulls
    if not is_new or run.spec["pull_policy"] != PullPolicy.ALWAYS:
        return False
    _pull(run)
    return True


def _pull(run: Run) -> None:
    run.pulls += 1
    run.prepare("to_pulling", Need.PULL, f"image {run.spec['docker_image']}")
    if run.state is not AttemptState.CLAIMED:  # it was pulled, and removed again: nothing new to write
        run.move, run.need = None, Need.PULL


def reject(run: Run, error: ContainerExecutionError) -> None:
    """Nothing was started, and nothing will be: end the attempt with the engine's reason."""
    outcome = Outcome.INFRA if isinstance(error, LaunchFailed) else Outcome.REJECTED
    run.verdict = Verdict(
        outcome=outcome, failure_class=error.failure_class, message=str(error), hint=error.hint
    )
    run.seen = run.move = None
    run.engine_log.note(str(error))
    run.rejected_exit_code = error.exit_code
    run.log, run.need = LogStage.DONE, Need.END


def _ensured(run: Run, seen: Any, installation: UUID, now: float) -> None:
    if seen.fresh:
        run.engine_log.note("create", seen.container_id[:12])
        run.start_sent = run.is_starting = run.heard_die = False
        if len(seen.container_id) > refusals.LONGEST_ID:
            reject(run, refusals.id_too_long(seen))
            return
        run.container_id = seen.container_id
        run.prepare("fence", Need.START, **_columns(run, seen))
        return
    _found(run, seen, installation, now)


def _found(run: Run, seen: Observation, installation: UUID, now: float) -> None:
    """A container has the run's name that this worker did not make just now."""
    found = classify(seen, installation=installation, job_id=run.job_id, number=run.number)
    if run.archived and found in {Found.FOREIGN, Found.OLDER}:  # its own is gone, then
        _lost(run)
        return
    match found:
        case Found.FOREIGN:
            reject(run, refusals.name_conflict(seen))
        case Found.OLDER:
            run.doomed, run.need = seen, Need.CLEAR
        case Found.UNSTARTED:
            # Written first: whoever takes over in the middle must ask what became of this very container.
            run.discarding_id, run.container_id = seen.container_id, ""
            run.prepare(
                "fence", Need.DISCARD, "found unstarted", **(_columns(run, seen) | {"container_id": ""})
            )
            run.described = False  # the one that is made instead is another one
        case _:
            _found_started(run, seen, found, now)


def _found_started(run: Run, seen: Observation, found: Found, now: float) -> None:
    """This attempt's own container, which somebody has started."""
    # What we stop has ended by that, whatever its engine would have made of it.
    if seen.refusal and not run.stop_reason:
        run.container_id = seen.container_id
        reject(run, seen.refusal)
    elif run.is_poison:
        _stop_only(run, seen, now)
    elif found is Found.STARTING:
        _wait_for_start(run, seen, now)
    elif found is Found.RUNNING:
        _adopt(run, seen, now)
    else:
        _exited(run, seen, now)


def _stop_only(run: Run, seen: Observation, now: float) -> None:
    """A run that killed its workers, by a glance at its container: stop it, or take it that it is over."""
    run.container_id = seen.container_id
    if seen.state == "exited":
        run.seen, run.move, run.need = seen, None, Need.END
        run.verdict = judge_exit(run)
        return
    run.look_clock = now + OBSERVE_EVERY_SECONDS
    if run.state in NOT_STARTED:
        run.prepare("to_running", Need.WATCH, "adopted", **_running_columns(run))
    elif run.need is not Need.SIGNAL:  # asked for while this look was under way: still to be sent
        run.need = Need.WATCH


def _wait_for_start(run: Run, seen: Observation, now: float) -> None:
    """The engine has taken the start on: from now on it may run at any moment, so it is never withdrawn."""
    first_sight = not run.described
    run.container_id, run.start_sent = seen.container_id, True
    if run.state not in NOT_STARTED:  # it is being stopped
        if run.need is not Need.SIGNAL:
            run.need, run.look_clock = Need.WATCH, now + _STARTING_LOOK_SECONDS[0]
        return
    run.is_starting, run.waits_for = True, seen.error
    wait = _STARTING_LOOK_SECONDS[min(run.starting_looks, len(_STARTING_LOOK_SECONDS) - 1)]
    run.starting_looks += 1
    run.need, run.resume_clock = Need.OBSERVE, now + wait
    if first_sight:
        run.prepare("describe", Need.OBSERVE, **_columns(run, seen))


def _adopt(run: Run, seen: Observation, now: float) -> None:
    first_sight = not run.described
    run.engine_away = False  # whatever happened to the engine, this container outlived it
    run.container_id, run.seen, run.described = seen.container_id, seen, True
    run.look_clock = now + OBSERVE_EVERY_SECONDS
    if run.state in NOT_STARTED:
        run.described = False  # the next look writes what the engine says of it
        run.look_clock = now
        found = "" if run.untold_start or run.is_starting else "adopted"
        run.prepare("to_running", Need.WATCH, found, **_running_columns(run))
        return
    if run.need is not Need.SIGNAL:  # asked for while this look was under way: still to be sent
        run.need = Need.WATCH
    if first_sight:
        run.prepare("describe", Need.WATCH, **_columns(run, seen))


def _exited(run: Run, seen: Observation, now: float) -> None:
    run.container_id, run.seen = seen.container_id, seen
    is_short = run.untold_start is not None
    run.engine_log.note("die", f"exit code {seen.exit_code}{', out of memory' if seen.oom_killed else ''}")
    if run.state is AttemptState.EXITED:
        run.need = Need.COLLECT
        return
    run.prepare(
        "to_exited",
        Need.COLLECT,
        f"exit code {seen.exit_code}",
        exit_code=seen.exit_code,
        oom_killed=seen.oom_killed or run.oom_seen,
        started_at=seen.started_at,
        finished_at=seen.finished_at,
        **_columns(run, seen),
    )
    if is_short and run.move:  # its log is short as well: there may be nothing left to write but its end
        run.state, run.need = AttemptState.EXITED, Need.COLLECT
        run.move.due_clock = now + _FIRST_LOOK_SECONDS


def _observed(run: Run, seen: Any, installation: UUID, now: float) -> None:
    if isinstance(seen, Observation):
        _found(run, seen, installation, now)
        return
    run.absent += 1
    if not run.container_id and run.state in NOT_STARTED:
        run.need = Need.ENSURE
    elif run.absent < _LOST_AFTER:
        run.resume_clock = now + _ABSENT_WAIT_SECONDS
        run.need = Need.OBSERVE
    else:
        _lost(run)


def _lost(run: Run) -> None:
    run.logs_note = "The container was gone before its log could be completed."
    run.move = None
    if run.stop_reason or run.is_poison or run.state is AttemptState.EXITED:
        run.verdict = judge_exit(run)
    else:
        run.verdict = Verdict(
            outcome=Outcome.LOST,
            failure_class="lost",
            message="Its container is gone from the engine, so how it ended is not known.",
            hint="Somebody removed it by hand, or the engine lost its data. Check before running it again.",
        )
    run.log, run.need = LogStage.DONE, Need.END


def _discarded(run: Run, seen: Any, installation: UUID, now: float) -> None:
    run.discarding_id = ""
    if isinstance(seen, Observation):
        # It has started after all, by whoever's call; one that is gone does not tell its labels any more.
        ours = {"installation": str(installation), "job": str(run.job_id), "attempt": str(run.number)}
        labels = {LABEL_PREFIX + key: value for key, value in ours.items()}
        _found(run, replace(seen, name=run.container_name, labels=labels), installation, now)
        return
    run.start_sent = False  # whatever start was sent to it has nothing left to start
    if run.state in NOT_STARTED:
        run.need = Need.ENSURE
    else:  # archived: its attempt has ended, nothing is made anew, and what never started has no log
        run.log, run.need = LogStage.DONE, Need.END


def _withdrawn(run: Run, seen: Any, installation: UUID, now: float) -> None:
    if isinstance(seen, Observation):
        _found(run, seen, installation, now)
        return
    run.verdict = outcome_of_withdrawal(run, now)
    run.log, run.need = LogStage.DONE, Need.END


_ANSWERS: dict[str, Callable[[Run, Any, UUID, float], None]] = {
    "ENSURE": _ensured,
    "START": _started,
    "OBSERVE": _observed,
    "DISCARD": _discarded,
    "WITHDRAW": _withdrawn,
}


def judge_exit(run: Run) -> Verdict:
    """The verdict on a run whose container has exited, or is gone while it was being stopped."""
    seen = run.seen
    if run.is_poison and run.stop_reason != StopReason.CANCELLED:
        return outcome.kills_worker(started=True)
    return outcome.judge(
        Exit(
            exit_code=seen.exit_code if seen else None,
            oom_killed=bool(seen and seen.oom_killed) or run.oom_seen,
            finished_at=seen.finished_at if seen else None,
            stop_reason=run.stop_reason,
            stopping_at=run.stopping_at,
            signalled_at=run.signalled_at,
            error=seen.error if seen else "",
            memory_limit=run.spec["memory_limit"],
            timeout_seconds=run.spec["timeout_seconds"],
            stop_signal=run.spec["stop_signal"],
            killed_outside=run.killed_outside,
            engine_away=run.engine_away,
            ended_by=seen.ended_by if seen else "",
            ran=not seen or not (seen.refusal or (seen.started_at is None and seen.exit_code is None)),
            start_deadline_seconds=run.spec["start_deadline_seconds"],
        )
    )


def _columns(run: Run, seen: Observation) -> dict[str, Any]:
    run.described = run.described or not seen.fresh
    return {
        "container_id": seen.container_id,
        "discarding_id": run.discarding_id,
        "image_digest": seen.image_digest,
        "executor_metadata": {
            **run.stored_metadata,
            **((run.view and run.view.saved_metadata) or {}),
            **seen.metadata,
        },
    }


def _running_columns(run: Run) -> dict[str, Any]:
    return {"container_id": run.container_id, "timeout_seconds": run.spec["timeout_seconds"]}

"""Containers whose engine takes a start on and does it later: they wait, run, are refused, or are stopped."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from hosts.errors import ContainerExecutionError, LaunchFailed
from hosts.executors.contract import Hint
from jobs.outcome import Exit, judge
from jobs.states import AttemptState, Outcome, StopReason
from supervisor.worker import hints, progress, stopping
from supervisor.worker.run import Need, Run, next_step
from tests.supervisor.runs import NOW, answer, make_run, observation, written

S = AttemptState
START = datetime(2026, 1, 1, tzinfo=UTC)


def starting() -> Run:
    """A run whose start was taken on, and which is described."""
    run = make_run(S.CREATED, container_id="c1", need=Need.START)
    answer(run, "START", observation(run, "starting"))
    assert written(run) == "describe"
    return run


def test_it_is_not_running_until_the_engine_says_so() -> None:
    run = starting()
    assert (run.state, next_step(run, NOW)) == (S.CREATED, None)
    assert next_step(run, NOW + 2) is Need.OBSERVE
    answer(run, "OBSERVE", observation(run, "starting"))
    assert run.move is None
    answer(run, "OBSERVE", observation(run, "running"))
    assert run.move is not None
    assert (run.move.kind, run.move.row["message"]) == ("to_running", "")


def test_it_is_never_withdrawn_as_it_may_run_at_any_moment() -> None:
    run = starting()
    run.cancel_wanted = True
    assert next_step(run, NOW + 2) is Need.OBSERVE


@pytest.mark.parametrize(
    ("error", "outcome"), [(LaunchFailed, Outcome.INFRA), (ContainerExecutionError, Outcome.REJECTED)]
)
def test_a_start_that_came_to_nothing_ends_with_the_engines_reason(
    error: type[ContainerExecutionError], outcome: Outcome
) -> None:
    run = starting()
    refusal = error("No room.", failure_class="capacity")
    answer(run, "OBSERVE", observation(run, "exited", refusal=refusal))
    assert run.verdict is not None
    assert (run.need, run.verdict.outcome, run.verdict.failure_class) == (Need.END, outcome, "capacity")


def test_it_is_stopped_when_it_is_cancelled() -> None:
    run = starting()
    run.cancel_wanted = True
    assert stopping.stop_due([run], NOW)
    assert run.move is not None
    assert (run.move.kind, run.move.row["stop_reason"]) == ("to_stopping", StopReason.CANCELLED)


def test_it_is_stopped_when_it_is_over_its_start_deadline() -> None:
    run = starting()
    run.start_deadline_clock = NOW + 5
    assert NOW + 5 in stopping.clocks_of(run)
    assert not stopping.stop_due([run], NOW + 4)
    assert stopping.stop_due([run], NOW + 5)
    assert run.move is not None
    assert run.move.row["stop_reason"] == StopReason.START_DEADLINE


def test_a_start_deadline_stops_nothing_that_runs() -> None:
    run = make_run(S.RUNNING, container_id="c1", need=Need.WATCH, start_deadline_clock=NOW)
    run.is_starting = True  # as it was before
    assert not stopping.stop_due([run], NOW + 1)


@pytest.mark.parametrize(
    ("seen", "outcome"),
    [({}, Outcome.REJECTED), ({"exit_code": 143, "started_at": START}, Outcome.INTERRUPTED)],
)
def test_what_was_too_late_is_rejected_unless_it_ran_all_the_same(
    seen: dict[str, Any], outcome: Outcome
) -> None:
    run = make_run(S.STOPPING, container_id="c1", need=Need.OBSERVE, stop_reason=StopReason.START_DEADLINE)
    answer(run, "OBSERVE", observation(run, "exited", **seen))
    verdict = progress.judge_exit(run)
    assert (verdict.outcome, verdict.failure_class) == (outcome, "start_deadline")


def test_whoever_takes_it_over_waits_too() -> None:
    run = make_run(S.CREATED, container_id="c1", need=Need.OBSERVE)
    answer(run, "OBSERVE", observation(run, "starting"))
    assert written(run) == "describe"
    run.cancel_wanted = True
    assert stopping.stop_due([run], NOW)


def test_what_its_engine_says_was_stopped_from_outside_is_interrupted() -> None:
    run = make_run(S.RUNNING, container_id="c1", need=Need.OBSERVE, described=True)
    answer(run, "OBSERVE", observation(run, "exited", exit_code=1, ended_by="outside", error="Spot."))
    verdict = progress.judge_exit(run)
    assert (verdict.outcome, verdict.failure_class) == (Outcome.INTERRUPTED, "killed")
    assert verdict.message.endswith("Spot.")
    verdict = judge(Exit(exit_code=1, killed_outside=True, error="Its machine was taken away."))
    assert (verdict.outcome, verdict.hint) == (Outcome.INTERRUPTED, "Its machine was taken away.")


def test_a_proof_that_nothing_ran_outweighs_that_it_was_thought_to_run() -> None:
    run = make_run(S.RUNNING, container_id="c1", need=Need.OBSERVE, described=True)
    refusal = LaunchFailed("No room.", failure_class="capacity")
    answer(run, "OBSERVE", observation(run, "exited", refusal=refusal))
    assert run.verdict is not None
    assert (run.need, run.verdict.outcome) == (Need.END, Outcome.INFRA)


def test_what_we_stopped_before_it_ran_was_cancelled_whatever_the_engine_calls_that() -> None:
    run = make_run(S.STOPPING, container_id="c1", need=Need.OBSERVE, stop_reason=StopReason.CANCELLED)
    refusal = LaunchFailed("Stopped by somebody.", failure_class="not_started")
    answer(run, "OBSERVE", observation(run, "exited", refusal=refusal))
    assert progress.judge_exit(run).outcome is Outcome.CANCELLED


def test_a_hint_of_its_start_or_end_brings_the_next_look_forward() -> None:
    for action in ("start", "die"):
        run = starting()
        hints.take(Hint(container_id="c1", action=action), [run], NOW + 0.1)
        assert next_step(run, NOW + 0.1) is Need.OBSERVE


def test_what_waits_long_is_looked_at_less_often() -> None:
    run, waits, now = starting(), [], NOW
    for _ in range(9):
        answer(run, "OBSERVE", observation(run, "starting"), now=now)
        waits.append(run.resume_clock - now)
        now = run.resume_clock
    assert waits == [1.0, 1.0, 1.0, 1.0, 2.0, 3.0, 3.0, 3.0, 3.0]


def test_what_its_engine_says_that_it_waits_for_is_what_its_row_will_say() -> None:
    run = starting()
    answer(run, "OBSERVE", observation(run, "starting", error="no suitable node"))
    assert run.waits_for == "no suitable node"

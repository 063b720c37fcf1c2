"""Containers whose engine takes a start on and does it later: they wait, run, are refused, or are stopped."""

from __future__ import annotations

import pytest

from hosts.errors import ContainerExecutionError, LaunchFailed
from jobs.outcome import Exit, judge
from jobs.states import AttemptState, Outcome, StopReason
from supervisor.worker import stopping
from supervisor.worker.run import Need, Run, next_step
from tests.supervisor.runs import NOW, answer, make_run, observation, written

S = AttemptState


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


def test_whoever_takes_it_over_waits_too() -> None:
    run = make_run(S.CREATED, container_id="c1", need=Need.OBSERVE)
    answer(run, "OBSERVE", observation(run, "starting"))
    assert written(run) == "describe"
    run.cancel_wanted = True
    assert stopping.stop_due([run], NOW)


def test_what_its_engine_says_was_stopped_from_outside_is_interrupted() -> None:
    run = make_run(S.RUNNING, container_id="c1", need=Need.OBSERVE, described=True)
    answer(run, "OBSERVE", observation(run, "exited", exit_code=1, interrupted="Spot"))
    assert run.killed_outside
    verdict = judge(Exit(exit_code=1, killed_outside=True, error="Its machine was taken away."))
    assert (verdict.outcome, verdict.hint) == (Outcome.INTERRUPTED, "Its machine was taken away.")

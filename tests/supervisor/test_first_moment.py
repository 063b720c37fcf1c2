"""A container that has exited soon after its start: what is written of it, and what is not waited for."""

from __future__ import annotations

import pytest

from hosts.executors.contract import Hint
from jobs.states import AttemptState
from supervisor.worker import hints, stopping
from supervisor.worker.logbook import Logbook
from supervisor.worker.run import LogStage, Need, Run, next_step
from tests.supervisor.log_sources import PolledSource
from tests.supervisor.runs import NOW, answer, fail, make_run, observation, written
from tests.supervisor.test_logbook import FakeEngine

S = AttemptState
DIE = Hint(container_id="c1", action="die")
SOON = NOW + 0.2


def started(**fields: object) -> Run:
    """Its start was answered just now."""
    run = make_run(S.CREATED, container_id="c1", need=Need.START, start_sent=True, **fields)
    answer(run, "START")
    return run


def exited_at_once() -> Run:
    run = started()
    hints.take(DIE, [run], NOW)
    assert next_step(run, NOW) is Need.OBSERVE
    answer(run, "OBSERVE", observation(run, "exited", exit_code=3))
    return run


def test_that_it_runs_is_written_soon_unless_something_happens_to_it() -> None:
    run = started()
    assert run.move is not None
    assert NOW < run.move.due_clock <= SOON
    assert next_step(run, NOW) is None
    assert min(stopping.clocks_of(run)) == run.look_clock


def test_its_exit_is_told_with_its_end_and_it_holds_its_slot_until_then() -> None:
    run = exited_at_once()
    assert run.untold_exit is not None
    assert (run.untold_exit.kind, run.untold_exit.row["exit_code"]) == ("to_exited", 3)
    assert NOW < run.untold_exit.due_clock <= SOON
    assert (run.need, run.holds_slot) == (Need.COLLECT, True)


def test_a_log_that_takes_long_does_not_keep_the_exit_from_being_written() -> None:
    run = exited_at_once()
    assert written(run) == "to_exited"
    assert (run.need, run.untold_exit, run.holds_slot) == (Need.COLLECT, None, False)


def test_an_exit_that_was_heard_of_before_the_start_was_answered_is_looked_at_then() -> None:
    run = make_run(S.CREATED, container_id="c1", need=Need.START, start_sent=True)
    hints.take(DIE, [run], NOW)
    answer(run, "START")
    assert next_step(run, NOW) is Need.OBSERVE


def test_one_that_runs_all_the_same_is_written_as_running_at_once() -> None:
    run = started()
    hints.take(DIE, [run], NOW)
    answer(run, "OBSERVE", observation(run))
    assert run.move is not None
    assert (run.move.kind, run.move.due_clock, run.move.row["message"]) == ("to_running", 0.0, "")


def test_an_engine_that_cannot_say_what_happened_does_not_keep_it_from_being_written_as_running() -> None:
    run = started()
    hints.take(DIE, [run], NOW)
    fail(run, "OBSERVE")
    assert written(run) == "to_running"


@pytest.mark.parametrize("stage", [LogStage.NONE, LogStage.LAST_OPENING])
def test_a_log_that_comes_with_the_exit_is_read_unless_it_is_being_opened_already(stage: LogStage) -> None:
    engine, run, source = FakeEngine(), exited_at_once(), PolledSource()
    run.log = stage
    Logbook(engine).harvested(run, source, NOW)  # type: ignore[arg-type]
    taken = stage is LogStage.NONE
    assert engine.pump.orders == ([("follow", source)] if taken else [])
    assert source.closed is not taken

"""What a worker makes of a container that it did not make just now, of one that is gone, and of a cancel."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from jobs.states import AttemptState, Outcome
from supervisor.worker.run import LogStage, Need, Run, next_step
from tests.supervisor.runs import NOW, answer, fail, make_run, observation, written

S = AttemptState
LATER = NOW + 60


# ── found under its name ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "labels", [{"installation": "another"}, {"job": "another"}, {"attempt": "one"}, {"attempt": ""}]
)
@pytest.mark.parametrize("step", ["ENSURE", "OBSERVE"])
def test_a_strangers_container_of_the_same_name_is_left_alone(step: str, labels: dict[str, str]) -> None:
    run = make_run()
    answer(run, step, observation(run, labels=labels))
    assert run.verdict is not None
    assert (run.verdict.outcome, run.verdict.failure_class) == (Outcome.REJECTED, "name_conflict")
    assert (run.need, run.container_id, run.doomed) == (Need.END, "", None)


def test_an_earlier_attempts_container_is_cleared_away_and_ours_made_then() -> None:
    run = make_run(number=2)
    answer(run, "ENSURE", observation(run, "exited", labels={"attempt": "1"}, container_id="old"))
    assert run.doomed is not None
    assert (next_step(run, NOW), run.doomed.container_id) == (Need.CLEAR, "old")
    answer(run, "CLEAR")
    assert next_step(run, NOW) is Need.ENSURE


def test_a_running_container_of_this_attempt_is_adopted() -> None:
    run = make_run()
    answer(run, "ENSURE", observation(run))
    assert run.move is not None
    assert (run.move.kind, run.move.row["message"], run.container_id) == ("to_running", "adopted", "c1")
    written(run)
    assert next_step(run, NOW) is Need.OBSERVE, "what the engine says of it is still to be written"


def test_a_running_attempt_is_adopted_without_a_new_deadline() -> None:
    run = make_run(S.RUNNING, need=Need.OBSERVE, container_id="c1", deadline_clock=NOW + 5)
    answer(run, "OBSERVE", observation(run))
    assert written(run) == "describe"
    assert run.deadline_clock == NOW + 5


def test_an_ended_container_of_this_attempt_is_harvested() -> None:
    run = make_run()
    answer(run, "ENSURE", observation(run, "exited", exit_code=5))
    assert written(run) == "to_exited"
    assert (run.need, run.container_id) == (Need.COLLECT, "c1")


def test_a_container_that_an_earlier_owner_did_not_start_is_made_anew() -> None:
    run = make_run()
    answer(run, "ENSURE", observation(run, "created", container_id="old"))
    assert run.move is not None
    assert (run.move.kind, run.move.row["container_id"]) == ("fence", "")
    written(run)
    assert next_step(run, NOW) is Need.DISCARD
    answer(run, "DISCARD")
    answer(run, "ENSURE", observation(run, "created", container_id="new", fresh=True))
    written(run)
    assert (next_step(run, NOW), run.container_id) == (Need.START, "new")


def test_what_was_said_of_a_discarded_container_is_said_anew_of_its_successor() -> None:
    run = make_run()
    answer(run, "ENSURE", observation(run, "created", container_id="old"))
    written(run)
    answer(run, "DISCARD")
    answer(run, "ENSURE", observation(run, "created", container_id="new", fresh=True))
    written(run)
    answer(run, "START")
    written(run)
    answer(run, "OBSERVE", observation(run, container_id="new"))
    assert written(run) == "describe"


# ── gone ──────────────────────────────────────────────────────────────────────────────────────────────────


def absent_twice(run: Run) -> None:
    answer(run, "OBSERVE")
    assert run.verdict is None
    assert next_step(run, NOW + 1) is None
    assert next_step(run, NOW + 2) is Need.OBSERVE
    answer(run, "OBSERVE", now=NOW + 2)


def test_a_running_attempt_is_lost_when_its_container_was_absent_twice() -> None:
    run = make_run(S.RUNNING, need=Need.OBSERVE, container_id="c1")
    absent_twice(run)
    assert run.verdict is not None
    assert (run.verdict.outcome, run.verdict.failure_class) == (Outcome.LOST, "lost")
    assert (run.need, run.log) == (Need.END, LogStage.DONE)
    assert run.logs_note


def test_absent_once_and_there_again_is_not_lost() -> None:
    run = make_run(S.RUNNING, need=Need.OBSERVE, container_id="c1")
    for _ in range(3):
        answer(run, "OBSERVE")
        answer(run, "OBSERVE", observation(run))
        written(run) if run.move else None
    assert (run.verdict, run.absent) == (None, 0)


def test_an_engine_away_between_two_absences_proves_nothing_more() -> None:
    run = make_run(S.RUNNING, need=Need.OBSERVE, container_id="c1")
    answer(run, "OBSERVE")
    for _ in range(10):
        fail(run, "OBSERVE")
    assert run.verdict is None


def test_an_attempt_whose_container_was_never_made_is_begun_anew() -> None:
    run = make_run(S.CREATED, need=Need.OBSERVE, start_sent=False)
    answer(run, "OBSERVE")
    assert next_step(run, NOW) is Need.ENSURE


def test_a_container_that_went_away_while_it_was_stopped_was_stopped() -> None:
    run = make_run(S.STOPPING, need=Need.OBSERVE, container_id="c1", stop_reason="timeout")
    absent_twice(run)
    assert run.verdict is not None
    assert run.verdict.outcome is Outcome.TIMEOUT


def test_a_container_that_went_away_after_its_exit_keeps_its_result() -> None:
    run = make_run(S.EXITED, need=Need.OBSERVE, container_id="c1")
    finished = datetime(2026, 1, 1, tzinfo=UTC)
    run.seen = observation(run, "exited", exit_code=9, finished_at=finished)
    absent_twice(run)
    assert run.verdict is not None
    assert (run.verdict.outcome, run.seen.exit_code) == (Outcome.USER, 9)
    assert run.logs_note


# ── cancelled ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("state", "need"),
    [(S.CLAIMED, Need.ENSURE), (S.PULLING, Need.PULL), (S.PULLING, Need.ENSURE), (S.CREATED, Need.START)],
)
def test_a_cancel_before_the_start_ends_without_one(state: AttemptState, need: Need) -> None:
    run = make_run(state, need=need, cancel_wanted=True)
    assert next_step(run, NOW) is Need.WITHDRAW
    answer(run, "WITHDRAW")
    assert run.verdict is not None
    assert (run.verdict.outcome, run.need) == (Outcome.CANCELLED, Need.END)


def test_a_cancel_while_it_is_pulled_ends_as_cancelled_although_the_pull_failed() -> None:
    run = make_run(S.PULLING, need=Need.PULL, cancel_wanted=True)
    fail(run, "PULL")
    assert next_step(run, LATER) is Need.WITHDRAW
    answer(run, "WITHDRAW")
    assert run.verdict is not None
    assert run.verdict.outcome is Outcome.CANCELLED


def test_a_cancel_during_the_start_waits_for_what_became_of_it() -> None:
    run = make_run(S.CREATED, need=Need.START, container_id="c1", start_sent=True, cancel_wanted=True)
    fail(run, "START")
    assert next_step(run, LATER) is Need.OBSERVE
    answer(run, "OBSERVE", observation(run))
    assert written(run) == "to_running"


def test_a_cancel_after_a_start_without_effect_makes_no_other_container() -> None:
    run = make_run(S.CREATED, need=Need.OBSERVE, container_id="c1", start_sent=True, cancel_wanted=True)
    answer(run, "OBSERVE", observation(run, "created"))
    written(run)
    assert next_step(run, NOW) is Need.DISCARD
    answer(run, "DISCARD")
    assert next_step(run, NOW) is Need.WITHDRAW


def test_a_withdrawal_that_finds_it_running_adopts_it() -> None:
    run = make_run(need=Need.ENSURE, cancel_wanted=True)
    answer(run, "WITHDRAW", observation(run))
    assert written(run) == "to_running"
    assert run.verdict is None


def test_a_withdrawal_that_finds_it_ended_lets_its_own_result_stand() -> None:
    run = make_run(need=Need.ENSURE, cancel_wanted=True)
    answer(run, "WITHDRAW", observation(run, "exited", exit_code=0))
    assert written(run) == "to_exited"
    assert run.verdict is None


@pytest.mark.parametrize("state", [S.RUNNING, S.STOPPING])
def test_a_running_attempt_is_never_withdrawn(state: AttemptState) -> None:
    run = make_run(state, need=Need.WATCH, container_id="c1", cancel_wanted=True, trouble=1000)
    assert next_step(run, NOW) is Need.OBSERVE

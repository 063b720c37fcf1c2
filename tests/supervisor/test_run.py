"""One open attempt in its worker's hands: what it begins with, and what is to be done for it next."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from jobs.models import Attempt
from jobs.states import AttemptState, Outcome
from supervisor.worker.run import GIVE_UP_AFTER, Need, Run, next_step, outcome_of_withdrawal
from tests.supervisor.runs import NOW, make_run

S = AttemptState
BEFORE_THE_START = (Need.ENSURE, Need.PULL, Need.START)


def stored(state: AttemptState, **fields: Any) -> Run:
    """A run of an attempt as its row tells."""
    values = {"number": 2, "epoch": 9, "spec": {"timeout_seconds": 60}, "container_name": "n", **fields}
    return Run.of(Attempt(job_id=uuid.uuid4(), state=state, **values), infra_failures=1)


@pytest.mark.parametrize(
    ("state", "container_id", "need"),
    [
        (S.CLAIMED, "", Need.ENSURE),
        (S.PULLING, "", Need.ENSURE),
        (S.CREATED, "", Need.ENSURE),  # its container was deleted, never started, by an earlier owner
        (S.CREATED, "c1", Need.OBSERVE),  # it may have been started by an owner who died before saying so
        (S.RUNNING, "c1", Need.OBSERVE),
        (S.STOPPING, "c1", Need.OBSERVE),
        (S.EXITED, "c1", Need.OBSERVE),
    ],
)
def test_what_an_open_attempt_needs_first(state: AttemptState, container_id: str, need: Need) -> None:
    assert stored(state, container_id=container_id).need is need


def test_a_run_knows_what_its_row_tells() -> None:
    run = stored(S.STOPPING, container_id="c1", stop_reason="timeout", next_seq=4, stdout_bytes=10)
    assert (run.number, run.epoch, run.infra_failures, run.next_seq, run.stdout_bytes) == (2, 9, 1, 4, 10)
    assert (run.stop_reason, run.ref, run.holds_slot, run.seen) == ("timeout", "c1", True, None)


def test_an_exit_that_was_written_is_known_without_its_container() -> None:
    finished = datetime(2026, 1, 1, tzinfo=UTC)
    run = stored(S.EXITED, container_id="c1", exit_code=7, oom_killed=True, finished_at=finished)
    assert run.seen is not None
    assert (run.seen.exit_code, run.seen.oom_killed, run.seen.finished_at) == (7, True, finished)
    assert not run.holds_slot


def test_the_engine_is_asked_by_name_until_the_id_is_known() -> None:
    run = make_run()
    assert run.ref == run.container_name
    run.container_id = "c1"
    assert run.ref == "c1"


@pytest.mark.parametrize("state", S)
def test_a_slot_is_held_from_the_claim_until_the_exit(state: AttemptState) -> None:
    assert make_run(state).holds_slot is (state not in {S.EXITED, S.ENDED})


@pytest.mark.parametrize(
    "need", [Need.ENSURE, Need.PULL, Need.START, Need.OBSERVE, Need.SIGNAL, Need.DISCARD, Need.REMOVE]
)
def test_the_next_step_is_what_is_needed(need: Need) -> None:
    assert next_step(make_run(need=need), NOW) is need


@pytest.mark.parametrize("need", [Need.COLLECT, Need.END, Need.GONE])
def test_what_needs_no_engine_has_no_step(need: Need) -> None:
    assert next_step(make_run(need=need), NOW) is None


def test_one_step_at_a_time() -> None:
    assert next_step(make_run(busy=True), NOW) is None


def test_nothing_is_done_before_the_move_is_written() -> None:
    run = make_run()
    run.prepare("fence", Need.START)
    assert next_step(run, NOW) is None


def test_a_running_container_is_looked_at_when_its_time_has_come() -> None:
    run = make_run(S.RUNNING, need=Need.WATCH, look_clock=NOW)
    assert next_step(run, NOW - 0.1) is None
    assert next_step(run, NOW) is Need.OBSERVE


def test_the_wait_after_trouble_grows_up_to_a_limit() -> None:
    run, waits = make_run(), []
    for _ in range(7):
        run.note_trouble("away", NOW)
        waits.append(run.resume_clock - NOW)
    assert waits == pytest.approx([0.2, 0.5, 1.0, 2.0, 5.0, 5.0, 5.0])


def test_after_trouble_nothing_is_done_until_the_wait_is_over() -> None:
    run = make_run()
    run.note_trouble("away", NOW)
    assert next_step(run, NOW + 0.1) is None
    assert next_step(run, NOW + 0.2) is Need.ENSURE


def test_an_answer_forgets_the_trouble_before_it() -> None:
    run = make_run(trouble=3, absent=1)
    run.note_answer()
    assert (run.trouble, run.absent) == (0, 0)


@pytest.mark.parametrize("need", BEFORE_THE_START)
@pytest.mark.parametrize("why", [{"cancel_wanted": True}, {"trouble": GIVE_UP_AFTER}])
def test_what_was_not_started_is_withdrawn(need: Need, why: dict[str, Any]) -> None:
    assert next_step(make_run(need=need, **why), NOW) is Need.WITHDRAW


@pytest.mark.parametrize("need", BEFORE_THE_START)
def test_a_little_trouble_is_not_enough_to_withdraw(need: Need) -> None:
    assert next_step(make_run(need=need, trouble=GIVE_UP_AFTER - 1), NOW) is need


@pytest.mark.parametrize("state", [S.CREATED, S.RUNNING, S.STOPPING])
def test_what_may_have_been_started_is_observed_however_long_the_engine_is_away(state: AttemptState) -> None:
    run = make_run(state, need=Need.OBSERVE, start_sent=True, cancel_wanted=True, trouble=1000)
    assert next_step(run, NOW) is Need.OBSERVE


def test_nothing_is_withdrawn_once_a_start_was_sent() -> None:
    run = make_run(S.CREATED, need=Need.ENSURE, start_sent=True, trouble=GIVE_UP_AFTER)
    assert next_step(run, NOW) is Need.ENSURE


def test_a_withdrawn_run_was_cancelled_or_the_engine_could_not_start_it() -> None:
    cancelled = outcome_of_withdrawal(make_run(cancel_wanted=True, last_trouble="away"), NOW)
    assert (cancelled.outcome, cancelled.failure_class) == (Outcome.CANCELLED, "cancelled")
    failed = outcome_of_withdrawal(make_run(last_trouble="no route to the registry"), NOW)
    assert (failed.outcome, failed.failure_class) == (Outcome.INFRA, "engine_trouble")
    assert "no route to the registry" in failed.message


def test_a_move_carries_what_guards_it() -> None:
    run = make_run()
    run.prepare("fence", Need.START, "why", container_id="c1")
    assert run.move is not None
    guards = {"attempt_id": run.attempt_id, "job_id": run.job_id, "number": 1, "epoch": 3}
    assert run.move.row == {**guards, "message": "why", "container_id": "c1"}
    assert (run.move.kind, run.move.then) == ("fence", Need.START)

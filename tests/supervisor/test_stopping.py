"""Ending containers on purpose: why, with which signal, and when the next one is due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from hosts.executors.contract import Hint
from jobs.states import AttemptState, Outcome, StopReason
from supervisor.worker import hints, stopping
from supervisor.worker.progress import judge_exit
from supervisor.worker.run import Need, Run, next_step, outcome_of_withdrawal
from supervisor.worker.stopping import stop_due, stop_wanted, want_cancel
from tests.supervisor.runs import NOW, make_run, observation

S = AttemptState
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def running(**fields: object) -> Run:
    return make_run(S.RUNNING, need=Need.WATCH, container_id="c1", **fields)


def being_stopped(**fields: object) -> Run:
    return make_run(S.STOPPING, need=Need.WATCH, container_id="c1", stop_reason="cancelled", **fields)


def test_nobody_wants_to_stop_a_run_within_its_time() -> None:
    assert stop_wanted(running(deadline_clock=NOW + 1), NOW) is None
    assert stop_wanted(running(), NOW) is None


def test_a_run_is_to_be_stopped_once_its_deadline_has_come() -> None:
    assert stop_wanted(running(deadline_clock=NOW), NOW) is StopReason.TIMEOUT


def test_a_cancel_counts_more_than_the_deadline() -> None:
    assert stop_wanted(running(cancel_wanted=True, deadline_clock=NOW), NOW) is StopReason.CANCELLED


@pytest.mark.parametrize("state", [S.EXITED, S.ENDED])
def test_what_has_exited_is_not_stopped(state: AttemptState) -> None:
    assert stop_wanted(make_run(state, cancel_wanted=True, deadline_clock=NOW), NOW) is None


def test_what_is_being_stopped_is_not_stopped_for_another_reason() -> None:
    run = being_stopped(deadline_clock=NOW)
    assert stop_wanted(run, NOW) is None


def test_the_reason_is_written_before_the_first_signal() -> None:
    run = running(cancel_wanted=True)
    stop_due([run], NOW)
    assert run.move is not None
    assert (run.move.kind, run.move.row["stop_reason"], run.move.then) == (
        "to_stopping",
        "cancelled",
        Need.SIGNAL,
    )
    assert run.signal == ""


def test_a_pending_move_is_written_before_a_stop() -> None:
    run = running(cancel_wanted=True)
    run.prepare("describe", Need.WATCH)
    stop_due([run], NOW)
    assert run.move is not None
    assert run.move.kind == "describe"


@pytest.mark.parametrize("state", [S.CLAIMED, S.PULLING, S.CREATED, S.EXITED])
def test_only_a_running_attempt_is_moved_to_stopping(state: AttemptState) -> None:
    run = make_run(state, cancel_wanted=True)
    stop_due([run], NOW)
    assert run.move is None


def test_the_first_signal_is_term_and_kill_follows_after_the_grace() -> None:
    run = being_stopped()
    stop_due([run], NOW)
    assert (run.signal, run.need) == ("TERM", Need.SIGNAL)
    run.need = Need.WATCH
    stop_due([run], NOW + 9.9)
    assert run.need is Need.WATCH
    stop_due([run], NOW + 10)
    assert (run.signal, run.need) == ("KILL", Need.SIGNAL)


def test_a_kill_that_did_not_help_is_sent_again() -> None:
    run = being_stopped(signal="KILL", kill_clock=NOW)
    stop_due([run], NOW)
    assert run.need is Need.SIGNAL
    run.need = Need.WATCH
    stop_due([run], NOW + 9.9)
    assert run.need is Need.WATCH
    stop_due([run], NOW + 10)
    assert run.need is Need.SIGNAL


def test_a_signal_that_the_engine_refuses_again_and_again_is_followed_by_kill_all_the_same() -> None:
    run = being_stopped()
    stop_due([run], NOW)
    run.note_trouble("invalid signal", NOW + 9)
    stop_due([run], NOW + 9.9)
    assert (run.signal, run.need) == ("TERM", Need.SIGNAL)
    run.busy = True  # once more under way: it is TERM until its answer has come
    stop_due([run], NOW + 10)
    assert run.signal == "TERM"
    run.busy = False
    stop_due([run], NOW + 10)
    assert (run.signal, run.need) == ("KILL", Need.SIGNAL)


@pytest.mark.parametrize("name", ["", "SIG"])
def test_a_signal_without_a_name_is_term(name: str) -> None:
    run = being_stopped()
    run.spec = {**run.spec, "stop_signal": name}
    stop_due([run], NOW)
    assert (run.signal, run.kill_clock) == ("TERM", NOW + 10)


@pytest.mark.parametrize(("force", "grace"), [(True, 10), (False, 0)])
def test_without_a_grace_the_first_signal_is_kill(force: bool, grace: int) -> None:
    run = being_stopped(cancel_force=force)
    run.spec = {**run.spec, "stop_grace_seconds": grace}
    stopping.begin(run, NOW)
    assert (run.signal, run.need) == ("KILL", Need.SIGNAL)


def test_a_run_that_ended_well_on_our_signal_was_stopped_however_far_its_engines_clock_is_behind() -> None:
    run = being_stopped(stopping_at=NOON)
    stopping.begin(run, NOW)
    behind = NOON - timedelta(hours=1)
    run.seen = observation(run, "exited", exit_code=0, finished_at=behind + timedelta(seconds=1))
    assert judge_exit(run).outcome is Outcome.SUCCEEDED, "as far as its end tells"
    for number, seconds in ((1, -60), (15, 0), (9, 5)):  # the first is somebody's, and says hello
        at = behind + timedelta(seconds=seconds)
        hints.take(Hint(container_id="c1", action="kill", detail=f"signal {number}", at=at), [run], NOW)
    assert run.signalled_at == behind
    assert judge_exit(run).outcome is Outcome.CANCELLED
    assert not run.killed_outside


def test_force_cuts_a_grace_under_way_short() -> None:
    run = being_stopped(signal="TERM", kill_clock=NOW + 10)
    want_cancel(run, NOW, force=True)
    stop_due([run], NOW)
    assert (run.signal, run.need) == ("KILL", Need.SIGNAL)


def test_asking_again_changes_nothing() -> None:
    run = being_stopped(signal="KILL", kill_clock=NOW + 10, cancel_force=True)
    want_cancel(run, NOW, force=True)
    want_cancel(run, NOW, force=False)
    assert (run.kill_clock, run.cancel_force) == (NOW + 10, True)


def test_a_run_that_is_watched_wakes_its_worker_for_its_deadline_and_its_next_look() -> None:
    run = running(deadline_clock=NOW + 60, look_clock=NOW + 15)
    assert sorted(stopping.clocks_of(run)) == [NOW + 15, NOW + 60]


def test_a_run_that_is_being_stopped_wakes_its_worker_for_the_kill() -> None:
    run = being_stopped(deadline_clock=NOW, signal="TERM", kill_clock=NOW + 10, look_clock=NOW + 15)
    assert sorted(stopping.clocks_of(run)) == [NOW + 10, NOW + 15]


def test_a_step_in_flight_and_a_log_being_read_are_waited_for() -> None:
    assert stopping.clocks_of(running(busy=True, deadline_clock=NOW)) == []
    assert stopping.clocks_of(make_run(S.EXITED, need=Need.COLLECT)) == []
    assert stopping.clocks_of(make_run(S.EXITED, need=Need.COLLECT, log_clock=NOW + 5)) == [NOW + 5]


def test_after_trouble_a_run_wakes_its_worker_when_the_wait_is_over() -> None:
    run = make_run(need=Need.ENSURE)
    run.note_trouble("away", NOW)
    assert stopping.clocks_of(run) == [NOW + 0.2]


def test_the_run_of_a_drained_host_is_stopped_and_a_cancel_counts_more() -> None:
    assert stop_wanted(running(drained=True), NOW) is StopReason.DRAINED
    assert stop_wanted(running(drained=True, cancel_wanted=True), NOW) is StopReason.CANCELLED


def test_what_has_not_started_on_a_drained_host_is_tried_elsewhere() -> None:
    run = make_run(drained=True)
    assert next_step(run, NOW) is Need.WITHDRAW
    verdict = outcome_of_withdrawal(run, NOW)
    assert (verdict.outcome, verdict.failure_class) == (Outcome.INFRA, "drained")

"""What the answer of each step means for its run: from the first create to the last removal."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from hosts.errors import ContainerExecutionError, DockerConnectionError, ImageMissing, LaunchFailed
from jobs.models import Attempt
from jobs.retry import Budget, delay_before_next
from jobs.states import AttemptState, Outcome
from supervisor.worker import progress
from supervisor.worker.run import GIVE_UP_AFTER, LogStage, Need, Run, next_step
from tests.supervisor.runs import AWAY, NOW, answer, fail, make_run, observation, written

S = AttemptState
REFUSED = ContainerExecutionError("no such command", failure_class="command_not_found", exit_code=127)
MISSING = ImageMissing("No such image: busybox:latest")


def fresh(run: Run) -> None:
    """Its container was made just now, and that is written."""
    answer(run, "ENSURE", observation(run, "created", fresh=True))
    assert written(run) == "fence"


# ── making it ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_container_made_just_now_is_fenced_before_it_is_started() -> None:
    run = make_run()
    answer(run, "ENSURE", observation(run, "created", fresh=True))
    assert run.move is not None
    assert (run.move.kind, run.move.row["container_id"]) == ("fence", "c1")
    assert next_step(run, NOW) is None
    written(run)
    assert next_step(run, NOW) is Need.START


def test_a_missing_image_is_pulled_and_the_container_made_then() -> None:
    run = make_run()
    fail(run, "ENSURE", MISSING)
    assert written(run) == "to_pulling"
    assert next_step(run, NOW) is Need.PULL
    answer(run, "PULL")
    assert next_step(run, NOW) is Need.ENSURE


def test_an_image_that_went_away_again_is_pulled_again_without_a_write() -> None:
    run = make_run(S.PULLING)
    fail(run, "ENSURE", MISSING)
    assert run.move is None
    assert next_step(run, NOW) is Need.PULL


def test_an_image_that_is_never_there_after_its_pull_is_given_up() -> None:
    run = make_run(S.PULLING)
    pulls = 0
    while (step := next_step(run, NOW)) is not Need.WITHDRAW and pulls < 100:
        if step is Need.PULL:
            pulls += 1
            answer(run, "PULL")
        else:
            fail(run, "ENSURE", MISSING, now=NOW - 10)
    assert pulls == 3
    answer(run, "WITHDRAW")
    assert run.verdict is not None
    assert (run.verdict.outcome, run.verdict.failure_class) == (Outcome.INFRA, "image_pull")


def test_an_image_that_is_never_to_be_pulled_and_is_missing_rejects_the_attempt() -> None:
    run = make_run()
    run.spec = {**run.spec, "pull_policy": "never"}
    fail(run, "ENSURE", MISSING)
    assert run.verdict is not None
    assert (run.verdict.outcome, run.verdict.failure_class) == (Outcome.REJECTED, "image_missing")
    assert "busybox:latest is not on the engine" in run.verdict.message


def test_a_pull_that_fails_for_now_gives_the_slot_back_at_once() -> None:
    run = make_run(S.PULLING, need=Need.PULL)
    fail(run, "PULL", DockerConnectionError("the registry is away"))
    assert next_step(run, NOW) is None
    assert next_step(run, NOW + 0.3) is Need.WITHDRAW
    answer(run, "WITHDRAW")
    assert run.verdict is not None
    assert (run.verdict.outcome, run.need) == (Outcome.INFRA, Need.END)
    assert "the registry is away" in run.verdict.message


@pytest.mark.parametrize("step", ["ENSURE", "PULL", "START"])
def test_a_refusal_for_good_ends_the_attempt_with_the_engines_reason(step: str) -> None:
    run = make_run(container_id="c1" if step == "START" else "")
    fail(run, step, REFUSED)
    assert run.verdict is not None
    assert (run.verdict.outcome, run.verdict.failure_class) == (Outcome.REJECTED, "command_not_found")
    assert (run.rejected_exit_code, run.need, run.log) == (127, Need.END, LogStage.DONE)


def test_an_engine_that_cannot_make_it_is_tried_a_few_times_and_the_attempt_withdrawn_then() -> None:
    run, now = make_run(), NOW
    for _ in range(GIVE_UP_AFTER):
        assert next_step(run, now) is Need.ENSURE
        fail(run, "ENSURE", now=now)
        now = run.resume_clock
    assert next_step(run, now) is Need.WITHDRAW
    fail(run, "WITHDRAW", now=now)
    assert next_step(run, now) is None, "no proof yet"
    assert next_step(run, run.resume_clock) is Need.WITHDRAW
    answer(run, "WITHDRAW")
    assert run.verdict is not None
    assert run.verdict.outcome is Outcome.INFRA


def test_all_tries_at_an_engine_that_cannot_make_it_end_within_a_minute() -> None:
    budget = Budget.of(make_run().spec, attempts=1, infra_failures=0)
    spent = 0.0
    for failures in range(budget.infra_retries + 1):
        run, now = make_run(), NOW
        while next_step(run, now) is Need.ENSURE:
            fail(run, "ENSURE", now=now)
            now = run.resume_clock
        so_far = replace(budget, attempts=failures + 1, infra_failures=failures)
        spent += now - NOW + (delay_before_next(Outcome.INFRA, so_far, jitter=0.5) or 0.0)
    assert spent < 60


def test_a_crash_of_an_executor_is_trouble_and_proves_nothing() -> None:
    run = make_run(S.CREATED, need=Need.START, container_id="c1", start_sent=True)
    fail(run, "START", ZeroDivisionError("a bug"))
    assert run.need is Need.OBSERVE
    assert run.verdict is None


# ── starting it ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_start_is_written_and_the_container_looked_at_soon() -> None:
    run = make_run(S.CREATED, container_id="c1", need=Need.START)
    answer(run, "START")
    assert run.move is not None
    assert run.move.row["timeout_seconds"] == 60
    assert written(run) == "to_running"
    assert next_step(run, NOW) is None
    assert next_step(run, NOW + 0.2) is Need.OBSERVE


def test_after_a_lost_start_the_engine_is_asked_and_no_second_start_is_sent() -> None:
    run = make_run()
    fresh(run)
    run.start_sent = True
    for _ in range(20):
        fail(run, "START" if run.need is Need.START else "OBSERVE")
        assert next_step(run, run.resume_clock) is Need.OBSERVE


def test_a_lost_start_that_took_effect_is_found_running() -> None:
    run = make_run(S.CREATED, need=Need.START, container_id="c1", start_sent=True)
    fail(run, "START")
    answer(run, "OBSERVE", observation(run))
    assert written(run) == "to_running"
    assert run.need is Need.WATCH


def test_a_lost_start_of_a_short_job_is_found_ended_and_harvested() -> None:
    run = make_run(S.CREATED, need=Need.START, container_id="c1", start_sent=True)
    fail(run, "START")
    answer(run, "OBSERVE", observation(run, "exited", exit_code=3))
    assert written(run) == "to_exited"
    assert run.need is Need.COLLECT


def test_after_a_lost_start_without_effect_another_container_is_made_and_started_once() -> None:
    run = make_run(S.CREATED, need=Need.START, container_id="c1", start_sent=True)
    fail(run, "START")
    answer(run, "OBSERVE", observation(run, "created"))
    assert run.move is not None
    assert run.move.row["container_id"] == ""
    written(run)
    assert next_step(run, NOW + 1) is Need.DISCARD
    answer(run, "DISCARD")
    assert next_step(run, NOW + 1) is Need.ENSURE
    answer(run, "ENSURE", observation(run, "created", fresh=True, container_id="c2"))
    written(run)
    assert (run.container_id, next_step(run, NOW + 1)) == ("c2", Need.START)


def test_a_container_that_cannot_be_discarded_because_it_runs_is_adopted() -> None:
    run = make_run(S.CREATED, need=Need.DISCARD, start_sent=True)
    answer(run, "DISCARD", observation(run, labels={}))
    assert written(run) == "to_running"
    assert (run.container_id, run.need) == ("c1", Need.WATCH)


def test_a_container_that_had_run_when_it_was_discarded_is_harvested_and_not_run_again() -> None:
    run = make_run(S.CREATED, need=Need.DISCARD, start_sent=True)
    answer(run, "DISCARD", observation(run, "exited", exit_code=3))
    assert written(run) == "to_exited"
    assert run.need is Need.COLLECT


def test_a_discard_that_a_dead_worker_began_is_finished_before_anything_is_made() -> None:
    run = make_run()
    answer(run, "ENSURE", observation(run, "created", container_id="old"))
    assert run.move is not None
    row = run.move.row
    assert (row["container_id"], row["discarding_id"]) == ("", "old")
    attempt = Attempt(
        id=run.attempt_id, job_id=run.job_id, number=1, epoch=4, state=S.CREATED, discarding_id="old", spec={}
    )
    assert next_step(Run.of(attempt, infra_failures=0), NOW) is Need.DISCARD


def test_an_engine_that_fails_after_a_discard_gets_no_more_than_a_few_tries() -> None:
    run = make_run(S.CREATED, need=Need.DISCARD, start_sent=True)
    answer(run, "DISCARD")
    for _ in range(GIVE_UP_AFTER):
        fail(run, "ENSURE")
    assert next_step(run, run.resume_clock) is Need.WITHDRAW


# ── while it runs ─────────────────────────────────────────────────────────────────────────────────────────


def test_what_the_engine_says_of_a_running_container_is_written_once() -> None:
    run = make_run(S.RUNNING, need=Need.WATCH, container_id="c1")
    answer(run, "OBSERVE", observation(run))
    assert run.move is not None
    assert run.move.row["executor_metadata"] == {"ip": "10.0.0.1"}
    assert written(run) == "describe"
    answer(run, "OBSERVE", observation(run), now=NOW + 15)
    assert run.move is None
    assert next_step(run, NOW + 29) is None
    assert next_step(run, NOW + 30) is Need.OBSERVE


def test_a_signal_that_was_sent_is_followed_by_a_look() -> None:
    run = make_run(S.STOPPING, need=Need.SIGNAL, signal="TERM", container_id="c1")
    answer(run, "SIGNAL")
    assert (run.need, run.engine_log.noted) == (Need.WATCH, ["kill TERM"])
    assert next_step(run, NOW + 0.2) is Need.OBSERVE


def test_a_signal_that_got_no_answer_is_sent_again() -> None:
    run = make_run(S.STOPPING, need=Need.SIGNAL, signal="TERM", container_id="c1")
    fail(run, "SIGNAL")
    assert next_step(run, run.resume_clock) is Need.SIGNAL


def test_a_look_that_was_under_way_does_not_swallow_the_signal() -> None:
    run = make_run(S.STOPPING, need=Need.SIGNAL, signal="TERM", container_id="c1", described=True)
    answer(run, "OBSERVE", observation(run))
    assert next_step(run, NOW) is Need.SIGNAL


def test_an_exit_is_written_with_all_that_the_engine_knows_of_it() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    run = make_run(S.RUNNING, need=Need.WATCH, container_id="c1")
    times = {"started_at": moment, "finished_at": moment}
    answer(run, "OBSERVE", observation(run, "exited", exit_code=137, oom_killed=True, **times))
    assert run.move is not None
    row = run.move.row
    assert (row["exit_code"], row["oom_killed"], row["finished_at"]) == (137, True, moment)
    assert (run.move.kind, run.move.then) == ("to_exited", Need.COLLECT)


def test_an_exit_ends_the_waiting_for_a_signal_to_be_sent() -> None:
    run = make_run(S.STOPPING, need=Need.SIGNAL, signal="TERM", container_id="c1", stop_reason="cancelled")
    answer(run, "OBSERVE", observation(run, "exited", exit_code=0))
    written(run)
    assert run.need is Need.COLLECT


def test_an_exit_that_was_written_before_is_not_written_again() -> None:
    run = make_run(S.EXITED, need=Need.OBSERVE, container_id="c1")
    answer(run, "OBSERVE", observation(run, "exited", exit_code=0))
    assert (run.move, run.need) == (None, Need.COLLECT)


def test_memory_trouble_seen_in_the_events_counts_where_the_engine_forgot_it() -> None:
    run = make_run(S.RUNNING, container_id="c1", oom_seen=True)
    answer(run, "OBSERVE", observation(run, "exited", exit_code=137))
    assert run.move is not None
    assert run.move.row["oom_killed"] is True
    assert progress.judge_exit(run).outcome is Outcome.OOM


def test_a_removed_container_leaves_nothing_to_do() -> None:
    run = make_run(S.ENDED, need=Need.REMOVE, container_id="c1")
    answer(run, "REMOVE")
    assert run.need is Need.GONE


def test_an_engine_away_changes_nothing_of_a_running_attempt() -> None:
    run = make_run(S.RUNNING, need=Need.OBSERVE, container_id="c1")
    for _ in range(50):
        fail(run, "OBSERVE", AWAY)
    assert (run.state, run.move, run.verdict, run.absent) == (S.RUNNING, None, None, 0)


@pytest.mark.parametrize("step", ["ENSURE", "START"])
def test_what_the_engine_could_not_start_for_a_reason_of_its_own_is_no_rejection(step: str) -> None:
    run = make_run()
    if step == "START":
        fresh(run)
    fail(run, step, LaunchFailed("The disk is full.", failure_class="disk_full", hint="Free space."))
    assert run.verdict is not None
    assert (run.verdict.outcome, run.verdict.failure_class) == (Outcome.INFRA, "disk_full")
    assert run.need is Need.END


def archived_run() -> Run:
    return make_run(S.STOPPING, need=Need.OBSERVE, archived=True, stop_reason="declared")


def test_what_a_lost_host_had_is_never_made_again_when_it_is_gone() -> None:
    run = archived_run()
    answer(run, "OBSERVE", None)
    assert next_step(run, run.resume_clock) is Need.OBSERVE
    answer(run, "OBSERVE", None)
    assert (run.need, run.log, bool(run.logs_note)) == (Need.END, LogStage.DONE, True)


def test_what_a_lost_host_had_is_never_made_again_when_it_had_not_started() -> None:
    run = archived_run()
    answer(run, "OBSERVE", observation(run, "created"))
    assert next_step(run, NOW) is Need.DISCARD
    answer(run, "DISCARD", None)
    assert (run.need, run.log, run.logs_note) == (Need.END, LogStage.DONE, "")


@pytest.mark.parametrize("number", ["0", "2"])
def test_what_a_lost_host_had_is_gone_when_another_attempt_has_its_name(number: str) -> None:
    run = archived_run()
    answer(run, "OBSERVE", observation(run, "exited", labels={"attempt": number}))
    assert (run.need, bool(run.logs_note), run.container_id) == (Need.END, True, "")


def test_starts_that_prove_nothing_and_start_nothing_are_tried_a_few_times_only() -> None:
    run, now = make_run(), NOW
    for _ in range(GIVE_UP_AFTER):
        assert next_step(run, now) is Need.ENSURE
        answer(run, "ENSURE", observation(run, "created", fresh=True), now=now)
        written(run)
        run.start_sent = True
        fail(run, "START", now=now)
        now = run.resume_clock
        answer(run, "OBSERVE", observation(run, "created"), now=now)
        written(run)
        answer(run, "DISCARD", now=now)
    assert now > NOW + 5
    assert next_step(run, now) is Need.WITHDRAW
    answer(run, "WITHDRAW", now=now)
    assert run.verdict is not None
    assert run.verdict.outcome is Outcome.INFRA

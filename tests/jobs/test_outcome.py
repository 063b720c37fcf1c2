"""What an exit means."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from jobs.outcome import Exit, Verdict, judge, kills_worker
from jobs.states import Outcome

ASKED = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
EARLIER, LATER = ASKED - timedelta(milliseconds=1), ASKED + timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("exit_code", "oom_killed", "outcome", "failure_class"),
    [
        (0, False, "succeeded", ""),
        (0, True, "succeeded", ""),  # a child of it was killed; what counts is how it ended itself
        (1, False, "user", "exit_code"),
        (1, True, "oom", "oom"),
        (137, True, "oom", "oom"),
        (137, False, "interrupted", "signal"),
        (139, False, "user", "signal"),
        (143, False, "interrupted", "signal"),
        (125, False, "user", "exit_code"),
        (126, False, "user", "command_not_executable"),
        (127, False, "user", "command_not_found"),
        (128, False, "user", "exit_code"),
        (255, False, "user", "exit_code"),
        (-1, False, "user", "exit_code"),
        (None, True, "oom", "oom"),
        (None, False, "interrupted", "no_exit_code"),
    ],
)
def test_a_container_that_ended_by_itself(exit_code, oom_killed, outcome, failure_class):
    verdict = judge(Exit(exit_code=exit_code, oom_killed=oom_killed))
    assert (verdict.outcome, verdict.failure_class) == (outcome, failure_class)


@pytest.mark.parametrize("reason", ["timeout", "cancelled"])
@pytest.mark.parametrize("finished_at", [LATER, ASKED, None])
@pytest.mark.parametrize("exit_code", [0, 1, 137, 143, None])
def test_what_we_stopped_ends_as_stopped_whatever_its_exit_code(reason, finished_at, exit_code):
    end = Exit(exit_code=exit_code, stop_reason=reason, stopping_at=ASKED, finished_at=finished_at)
    assert judge(end).outcome == reason


@pytest.mark.parametrize("reason", ["timeout", "cancelled"])
@pytest.mark.parametrize(
    ("signalled_at", "was_stopped"),
    [(None, False), (LATER, False), (EARLIER, True), (EARLIER - timedelta(hours=1), True)],
)
def test_the_engines_own_clock_tells_too_whether_it_had_finished(reason, signalled_at, was_stopped):
    asked = {"stop_reason": reason, "stopping_at": ASKED, "signalled_at": signalled_at}
    end = Exit(exit_code=0, finished_at=EARLIER, **asked)
    assert judge(end).outcome == (reason if was_stopped else "succeeded")


@pytest.mark.parametrize("reason", ["timeout", "cancelled"])
@pytest.mark.parametrize(
    ("exit_code", "oom_killed", "outcome"), [(0, False, "succeeded"), (3, False, "user"), (137, True, "oom")]
)
def test_what_had_finished_before_we_asked_keeps_its_own_result(reason, exit_code, oom_killed, outcome):
    end = Exit(
        exit_code=exit_code,
        oom_killed=oom_killed,
        stop_reason=reason,
        stopping_at=ASKED,
        finished_at=EARLIER,
    )
    assert judge(end).outcome == outcome


@pytest.mark.parametrize("exit_code", [1, 3, 137, 143])
def test_what_others_stopped_was_interrupted_whatever_it_made_of_it(exit_code):
    verdict = judge(Exit(exit_code=exit_code, killed_outside=True))
    assert (verdict.outcome, verdict.failure_class) == ("interrupted", "killed")


def test_what_others_stopped_and_succeeded_all_the_same_succeeded():
    assert judge(Exit(exit_code=0, killed_outside=True, engine_away=True)).outcome == "succeeded"


@pytest.mark.parametrize("killed_outside", [True, False])
def test_what_ended_while_its_engine_was_away_was_ended_by_the_engine(killed_outside):
    end = Exit(exit_code=143, killed_outside=killed_outside, engine_away=True)
    assert (judge(end).outcome, judge(end).failure_class) == ("interrupted", "engine_stopped")


def test_what_failed_by_itself_while_its_engine_was_away_failed_by_itself():
    assert judge(Exit(exit_code=3, engine_away=True)).outcome == "user"


@pytest.mark.parametrize(("name", "exit_code"), [("SIGINT", 130), ("int", 130), ("SIGUSR1", 138)])
def test_an_end_by_the_stop_signal_is_ours_whatever_the_clocks_say(name, exit_code):
    end = Exit(
        exit_code=exit_code,
        stop_reason="cancelled",
        stopping_at=ASKED,
        finished_at=EARLIER,
        stop_signal=name,
    )
    assert judge(end).outcome == "cancelled"


def test_a_stop_of_unknown_time_counts_as_a_stop():
    assert judge(Exit(exit_code=0, stop_reason="cancelled", finished_at=EARLIER)).outcome == "cancelled"


def test_success_says_nothing():
    assert judge(Exit(exit_code=0)) == Verdict(outcome=Outcome.SUCCEEDED)


@pytest.mark.parametrize("exit_code", [1, 2, 126, 127, 134, 137, 255, None])
def test_every_failure_has_a_sentence_and_a_hint(exit_code):
    verdict = judge(Exit(exit_code=exit_code))
    assert verdict.message.endswith(".")
    assert verdict.hint
    assert exit_code is None or str(exit_code) in verdict.message


@pytest.mark.parametrize(("code", "name"), [(134, "SIGABRT"), (137, "SIGKILL"), (139, "SIGSEGV")])
def test_a_signal_is_called_by_its_name(code, name):
    assert name in judge(Exit(exit_code=code)).message


def test_a_timeout_and_a_memory_limit_are_named_with_their_size():
    timeout = Exit(exit_code=143, stop_reason="timeout", stopping_at=ASKED, timeout_seconds=90)
    assert "90 s" in judge(timeout).message
    assert "128 MB" in judge(Exit(exit_code=137, oom_killed=True, memory_limit=128)).message
    assert "MB" not in judge(Exit(exit_code=137, oom_killed=True)).message


@pytest.mark.parametrize("exit_code", [1, 139, None])
def test_what_the_engine_said_is_the_hint(exit_code):
    assert judge(Exit(exit_code=exit_code, error="no space left on device")).hint == "no space left on device"


@pytest.mark.parametrize("exit_code", [0, 1, 137, 143, None])
@pytest.mark.parametrize("finished_at", [EARLIER, LATER, None])
def test_what_killed_its_workers_failed_whatever_became_of_its_container(exit_code, finished_at):
    verdict = judge(
        Exit(exit_code=exit_code, stop_reason="poison", stopping_at=ASKED, finished_at=finished_at)
    )
    assert (verdict.outcome, verdict.failure_class) == ("interrupted", "kills_worker")
    assert verdict.message == "Handling it crashed its worker 3 times, so it was stopped."
    assert "retry" in verdict.hint


def test_what_killed_its_workers_before_it_started_is_rejected():
    verdict = kills_worker(started=False)
    assert (verdict.outcome, verdict.failure_class) == ("rejected", "kills_worker")
    assert verdict.message.endswith("so it was not started.")

"""When a child that ended is started again."""

from __future__ import annotations

import signal

import pytest

from supervisor.exit_codes import CONFIGURATION, FAILED, INTERNAL, OK, TRY_LATER
from supervisor.restarts import RestartPolicy

KEY = "the row as it is"
NOW = 1000.0
LONG_LIFE = 61.0
UNJITTERED = 0.5


@pytest.fixture
def policy() -> RestartPolicy:
    return RestartPolicy()


def end(policy: RestartPolicy, code: int = FAILED, *, ready_seconds: float = 1.0, jitter: float = UNJITTERED):
    policy.note_exit(code, key=KEY, ready_seconds=ready_seconds, now=NOW, jitter=jitter)


def wait_of(policy: RestartPolicy) -> float:
    return policy.start_clock - NOW


def may_start(policy: RestartPolicy, *, key: str = KEY, after: float = 0.0) -> bool:
    return policy.may_start(key=key, now=NOW + after)


def test_a_child_that_never_ended_may_start_at_once(policy: RestartPolicy) -> None:
    assert may_start(policy)


@pytest.mark.parametrize("code", [FAILED, INTERNAL, -signal.SIGKILL, -signal.SIGSEGV])
def test_the_first_failure_is_answered_at_once(policy: RestartPolicy, code: int) -> None:
    end(policy, code)
    assert may_start(policy)


def test_the_wait_doubles_with_each_failure_in_a_row(policy: RestartPolicy) -> None:
    waits = []
    for _ in range(6):
        end(policy)
        waits.append(wait_of(policy))
    assert waits == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0]


def test_it_waits_until_its_time_has_come(policy: RestartPolicy) -> None:
    for _ in range(4):
        end(policy)
    assert not may_start(policy, after=1.9)
    assert may_start(policy, after=2.0)


def test_the_wait_has_a_cap_and_no_end_of_trying(policy: RestartPolicy) -> None:
    for _ in range(2000):
        end(policy)
    assert wait_of(policy) == 60.0
    assert may_start(policy, after=60.0)


@pytest.mark.parametrize(("jitter", "wait"), [(0.0, 1.0), (1.0, 3.0)])
def test_jitter_spreads_the_wait_to_both_sides(policy: RestartPolicy, jitter: float, wait: float) -> None:
    for _ in range(4):
        end(policy, jitter=jitter)
    assert wait_of(policy) == wait


def test_random_jitter_stays_within_half_the_wait() -> None:
    waits = set()
    for _ in range(50):
        policy = RestartPolicy(failures=3)
        policy.note_exit(FAILED, key=KEY, ready_seconds=0.0, now=NOW)
        waits.add(wait_of(policy))
    assert len(waits) > 1
    assert all(1.0 <= wait <= 3.0 for wait in waits)


def test_a_minute_of_ready_life_forgets_earlier_failures(policy: RestartPolicy) -> None:
    for _ in range(8):
        end(policy)
    end(policy, ready_seconds=LONG_LIFE)
    assert (policy.failures, wait_of(policy)) == (1, 0.0)


def test_less_than_a_minute_forgets_nothing(policy: RestartPolicy) -> None:
    for _ in range(8):
        end(policy, ready_seconds=59.0)
    assert policy.failures == 8


@pytest.mark.parametrize(("failures", "looping"), [(4, False), (5, True)])
def test_five_failures_in_a_row_are_a_crash_loop(policy: RestartPolicy, failures: int, looping: bool) -> None:
    for _ in range(failures):
        end(policy)
    assert policy.is_crash_looping is looping


def test_trouble_with_the_database_never_counts(policy: RestartPolicy) -> None:
    for _ in range(100):
        end(policy, TRY_LATER)
    assert (policy.failures, policy.is_crash_looping, wait_of(policy)) == (0, False, 1.0)


def test_trouble_with_the_database_does_not_forgive_failures_either(policy: RestartPolicy) -> None:
    for _ in range(5):
        end(policy)
    end(policy, TRY_LATER)
    assert policy.is_crash_looping


def test_an_orderly_end_is_followed_at_once_and_does_not_count(policy: RestartPolicy) -> None:
    for _ in range(3):
        end(policy, OK)
    assert (policy.failures, wait_of(policy)) == (0, 0.0)


def test_a_wrong_setting_parks_the_child_for_good(policy: RestartPolicy) -> None:
    end(policy, CONFIGURATION)
    assert not may_start(policy, after=1e9)
    assert policy.failures == 0


def test_a_child_that_has_no_row_to_correct_is_started_again_ever_more_seldom(policy: RestartPolicy) -> None:
    waits = []
    for _ in range(4):
        policy.note_exit(CONFIGURATION, key="", ready_seconds=1.0, now=NOW, jitter=UNJITTERED)
        waits.append(wait_of(policy))
    assert waits == [0.0, 0.5, 1.0, 2.0]
    assert may_start(policy, key="", after=2.0)


def test_a_parked_child_starts_when_its_row_has_changed(policy: RestartPolicy) -> None:
    end(policy, CONFIGURATION)
    assert may_start(policy, key="the row, corrected")
    end(policy, OK)
    assert may_start(policy), "the row may change back: it is not parked any more"


def test_one_that_ends_as_soon_as_it_is_ready_does_not_spin(policy: RestartPolicy) -> None:
    end(policy, OK, ready_seconds=0.2)
    assert (policy.failures, wait_of(policy)) == (0, 1.0)


def test_since_when_it_fails_and_of_what_is_kept_until_it_has_run_for_a_minute(policy: RestartPolicy) -> None:
    policy.note_exit(INTERNAL, key=KEY, ready_seconds=1.0, now=NOW, cause="ValueError: no")
    policy.note_exit(-signal.SIGKILL, key=KEY, ready_seconds=1.0, now=NOW + 5, cause="out of memory")
    assert (policy.failing_clock, policy.exit_clock) == (NOW, NOW + 5)
    assert policy.last_words == "signal 9: out of memory"
    policy.note_exit(OK, key=KEY, ready_seconds=LONG_LIFE, now=NOW + 99)
    assert (policy.failing_clock, policy.last_words) == (None, "exit code 0")


def test_a_person_who_says_try_again_now_is_obeyed(policy: RestartPolicy) -> None:
    for _ in range(8):
        end(policy)
    end(policy, CONFIGURATION)
    policy.reset()
    assert may_start(policy)
    end(policy)
    assert wait_of(policy) == 0.0


@pytest.mark.parametrize(
    ("code", "words"), [(70, "exit code 70"), (-9, "signal 9"), (0, "exit code 0"), (-11, "signal 11")]
)
def test_how_it_ended_is_told_in_words(policy: RestartPolicy, code: int, words: str) -> None:
    end(policy, code)
    assert (policy.last_exit, policy.restarts) == (words, 1)

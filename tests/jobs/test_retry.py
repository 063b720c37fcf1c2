"""Whether and when another attempt follows."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.retry import Budget, delay_before_next
from jobs.states import Outcome

STARTED = ["user", "oom", "timeout", "interrupted", "lost"]


def budget(attempts: int = 1, infra: int = 0, allowed: int = 1, retry_on: tuple[str, ...] = ()) -> Budget:
    return Budget(attempts=attempts, infra_failures=infra, max_attempts=allowed, retry_on=list(retry_on))


@pytest.mark.parametrize("outcome", STARTED)
def test_what_started_does_not_run_again_unasked(outcome):
    assert delay_before_next(Outcome(outcome), budget(allowed=100)) is None
    others = tuple(one for one in STARTED if one != outcome)
    assert delay_before_next(Outcome(outcome), budget(allowed=100, retry_on=others)) is None


@pytest.mark.parametrize("outcome", STARTED)
def test_what_its_owner_lets_run_again_runs_max_attempts_times(outcome):
    allowed = budget(allowed=3, retry_on=(outcome,))
    runs = [budget(attempts, allowed=3, retry_on=(outcome,)) for attempts in (1, 2, 3, 4)]
    answers = [delay_before_next(Outcome(outcome), run) is not None for run in runs]
    assert answers == [True, True, False, False]
    assert allowed.attempts == 1


@pytest.mark.parametrize("outcome", ["succeeded", "cancelled", "rejected"])
def test_some_ends_are_final_whatever_anybody_asks(outcome):
    everything = budget(allowed=100, retry_on=tuple(Outcome.values))
    assert delay_before_next(Outcome(outcome), everything) is None


@pytest.mark.parametrize("outcome", [*STARTED, "rejected"])
def test_what_killed_its_workers_is_never_tried_again_by_itself(outcome):
    everything = budget(allowed=100, retry_on=tuple(Outcome.values))
    assert delay_before_next(Outcome(outcome), everything, failure_class="kills_worker") is None


def infra_delays(jitter: float) -> list[float]:
    answers = (delay_before_next(Outcome.INFRA, budget(n + 1, n), jitter=jitter) for n in itertools.count())
    return list(itertools.takewhile(lambda delay: delay is not None, answers))


def test_what_never_started_is_tried_three_more_times():
    assert infra_delays(0.5) == [2, 8, 30]


def test_all_waits_for_an_engine_together_stay_below_a_minute():
    assert sum(infra_delays(1.0)) < 60


def test_infra_failures_do_not_use_up_the_owners_attempts():
    spent = budget(attempts=4, infra=3, allowed=2, retry_on=("user",))
    assert delay_before_next(Outcome.USER, spent) is not None
    spent = budget(attempts=5, infra=3, allowed=2, retry_on=("user",))
    assert delay_before_next(Outcome.USER, spent) is None


def test_the_owners_attempts_do_not_use_up_the_infra_budget():
    assert delay_before_next(Outcome.INFRA, budget(attempts=9, infra=0), jitter=0.5) == 2


def test_waits_double_up_to_five_minutes():
    waits = [
        delay_before_next(Outcome.USER, budget(n, allowed=100, retry_on=("user",)), jitter=0.5)
        for n in (1, 2, 3, 9, 10, 99)
    ]
    assert waits == [1, 2, 4, 256, 300, 300]


@given(
    outcome=st.sampled_from(Outcome),
    attempts=st.integers(1, 10_000),
    infra=st.integers(0, 3),
    jitter=st.none() | st.floats(0, 1),
)
def test_a_wait_is_never_negative_nor_longer_than_its_jitter_allows(outcome, attempts, infra, jitter):
    everything = budget(attempts + infra, infra, 20_000, tuple(Outcome.values))
    delay = delay_before_next(outcome, everything, jitter=jitter)
    assert delay is None or 0.75 <= delay <= 375


def test_jitter_spreads_the_waits():
    assert len({delay_before_next(Outcome.INFRA, budget()) for _ in range(20)}) > 1

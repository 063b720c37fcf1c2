"""The two state machines on paper; `test_moves` has them in the database."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.states import (
    COMES_FROM,
    ENDED_STATUSES,
    NOT_STARTED,
    OPEN_STATES,
    OPEN_STATUSES,
    SLOT_HOLDING,
    AttemptState,
    JobStatus,
    Outcome,
    status_after,
    status_while,
)

ORDER = ["claimed", "pulling", "created", "running", "stopping", "exited", "ended"]


@pytest.mark.parametrize("position", range(len(ORDER)))
def test_a_state_comes_from_every_earlier_one_and_no_other(position):
    assert list(COMES_FROM[AttemptState(ORDER[position])]) == ORDER[:position]


@given(st.lists(st.sampled_from(AttemptState)))
def test_no_sequence_of_moves_goes_back_or_stays(wishes):
    state, path = AttemptState.CLAIMED, [AttemptState.CLAIMED]
    for wish in wishes:
        if state in COMES_FROM[wish]:
            state = wish
            path.append(state)
    places = [ORDER.index(state) for state in path]
    assert places == sorted(set(places))


def test_nothing_comes_from_the_end():
    assert not any(AttemptState.ENDED in origins for origins in COMES_FROM.values())


def test_a_slot_is_held_from_the_claim_until_the_container_has_ended():
    assert [str(state) for state in SLOT_HOLDING] == ["claimed", "pulling", "created", "running", "stopping"]


@pytest.mark.parametrize("state", OPEN_STATES)
def test_a_job_with_an_open_attempt_is_starting_until_the_container_runs(state):
    assert status_while(state) == ("starting" if state in NOT_STARTED else "running")


@pytest.mark.parametrize("outcome", Outcome)
def test_a_job_ends_in_the_word_of_its_outcome(outcome):
    words = {"succeeded": "completed", "timeout": "timeout", "cancelled": "cancelled"}
    assert status_after(outcome) == words.get(outcome, "failed")
    assert status_after(outcome) in ENDED_STATUSES


def test_every_status_is_pending_or_open_or_ended():
    assert {JobStatus.PENDING, *OPEN_STATUSES, *ENDED_STATUSES} == set(JobStatus)
    assert not set(OPEN_STATUSES) & set(ENDED_STATUSES)

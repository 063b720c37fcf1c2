"""Counting the workers that an attempt has killed."""

from __future__ import annotations

import uuid

import pytest

from jobs import poison
from jobs.models import JobEvent
from jobs.states import OPEN_STATES, AttemptState
from tests.jobs.attempts import end, everything, make_attempt

pytestmark = pytest.mark.django_db


def kill(attempt, what: str = "it died by SIGSEGV") -> bool:
    return poison.note_kill(attempt.pk, what, who="supervisor")


@pytest.mark.parametrize("state", OPEN_STATES)
def test_a_kill_is_counted_and_stands_in_the_timeline(state):
    attempt = make_attempt(state)
    assert kill(attempt)
    attempt.refresh_from_db()
    event = JobEvent.objects.get()
    assert (attempt.worker_kills, attempt.state) == (1, state)
    assert (event.kind, event.message, event.who) == ("killed worker", "it died by SIGSEGV", "supervisor")
    assert (event.job_id, event.attempt_number) == (attempt.job_id, 1)


def test_each_death_counts_once_however_often_it_is_told():
    attempt = make_attempt(AttemptState.RUNNING)
    for what in ("first", "second", "first", "second"):
        assert kill(attempt, what)
    attempt.refresh_from_db()
    assert (attempt.worker_kills, JobEvent.objects.count()) == (2, 2)


def test_nothing_is_written_about_an_attempt_that_has_ended():
    attempt = make_attempt(AttemptState.RUNNING)
    end(attempt)
    before = everything()
    assert not kill(attempt)
    assert everything() == before


def test_nothing_is_written_about_what_is_no_attempt():
    assert not poison.note_kill(uuid.uuid4(), "it died", who="supervisor")

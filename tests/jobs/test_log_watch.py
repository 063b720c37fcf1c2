"""The mark that somebody looks at a log, and that it runs out by itself."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from hosts import wakeups
from jobs import log_watch
from jobs.models import Attempt
from jobs.states import AttemptState, Outcome
from supervisor.worker import ledger
from tests.jobs.attempts import end, make_attempt

pytestmark = pytest.mark.django_db


def watched(attempt: Attempt) -> float:
    return ledger.open_attempts(attempt.host_id, attempt.epoch)[attempt.pk]


def test_the_worker_reads_for_how_long_yet_somebody_looks():
    attempt = make_attempt(AttemptState.RUNNING)
    assert watched(attempt) == 0.0
    log_watch.mark([attempt.pk])
    assert log_watch.MARK_SECONDS - 5 < watched(attempt) <= log_watch.MARK_SECONDS
    Attempt.objects.update(watched_until=Now() - timedelta(seconds=1))
    assert watched(attempt) < 0


def test_the_worker_is_woken_once_and_the_row_is_not_written_each_time(monkeypatch):
    woken = []
    monkeypatch.setattr(wakeups, "notify", woken.append)
    attempt = make_attempt(AttemptState.RUNNING)
    log_watch.mark([attempt.pk])
    until = Attempt.objects.get().watched_until
    log_watch.mark([attempt.pk])
    assert (woken, Attempt.objects.get().watched_until) == ([attempt.host_id], until)
    soon = log_watch.MARK_SECONDS - log_watch.RENEW_EVERY_SECONDS
    Attempt.objects.update(watched_until=Now() + timedelta(seconds=soon))
    log_watch.mark([attempt.pk])
    assert watched(attempt) > soon


def test_an_attempt_that_has_ended_is_left_alone():
    attempt = make_attempt(AttemptState.RUNNING)
    assert end(attempt, Outcome.SUCCEEDED)
    log_watch.mark([attempt.pk])
    assert Attempt.objects.get().watched_until is None

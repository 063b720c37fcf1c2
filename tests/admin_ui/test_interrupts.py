"""Ctrl-C while a command waits, and a database that is away for a moment."""

from __future__ import annotations

import os
import signal
import time

import pytest
from django.db import OperationalError

from admin_ui.cli import follow, lookup
from admin_ui.cli.interrupts import Interrupts
from jobs.states import AttemptState
from tests.admin_ui.commands import jobs, make_supervisor
from tests.jobs.attempts import end, make_attempt


def test_ctrl_c_is_counted_and_ends_a_wait():
    before = signal.getsignal(signal.SIGINT)
    with Interrupts() as interrupts:
        for count in (1, 2):
            os.kill(os.getpid(), signal.SIGINT)
            started = time.monotonic()
            interrupts.wait(30)
            assert time.monotonic() - started < 5
            assert interrupts.count == count
    assert signal.getsignal(signal.SIGINT) is before


def test_many_ctrl_c_do_not_block():
    with Interrupts() as interrupts:
        for _ in range(70_000):  # more than a pipe holds
            interrupts._note(signal.SIGINT, None)
        assert interrupts.count == 70_000


class AwayTwice:
    """The database does not answer the second and third time it is asked for a job."""

    def __init__(self):
        self.asked = 0
        self.look = lookup.job

    def __call__(self, job_id):
        self.asked += 1
        if self.asked in {3, 4}:
            raise OperationalError("the connection is closed")
        return self.look(job_id)


@pytest.mark.django_db
def test_a_database_that_comes_back_is_waited_for(meanwhile, monkeypatch):
    make_supervisor()
    attempt = make_attempt(AttemptState.RUNNING)
    monkeypatch.setattr(lookup, "job", AwayTwice())
    monkeypatch.setattr("admin_ui.cli.follow.connection.close", lambda: None)
    meanwhile.do(lambda: None, lambda: None, lambda: end(attempt))
    assert jobs("show", str(attempt.job_id), "--follow", "--raw").code == 0


@pytest.mark.django_db
def test_a_database_that_stays_away_is_told(meanwhile, monkeypatch):
    make_supervisor()
    attempt = make_attempt(AttemptState.RUNNING)
    monkeypatch.setattr(lookup, "job", AwayTwice())
    monkeypatch.setattr(follow, "_DATABASE_AWAY_FOR_SECONDS", 0.0)
    meanwhile.do(lambda: None)
    result = jobs("show", str(attempt.job_id), "--follow", "--raw")
    assert result.code == 75
    assert "the connection is closed" in result.stderr

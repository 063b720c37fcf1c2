"""Writes whose answers were lost on the way back: they are there, and are not made twice."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models import F

from hosts.identity import boot_clock
from jobs import moves
from jobs.models import Attempt
from jobs.states import AttemptState
from supervisor.worker import ledger
from supervisor.worker.breadcrumb import Breadcrumbs
from supervisor.worker.run import Need, Run
from tests.jobs.attempts import WHO, make_attempt

pytestmark = pytest.mark.django_db


def test_the_deadline_counts_from_the_write_that_nobody_heard_of() -> None:
    attempt = make_attempt(AttemptState.CREATED, container_id="c1")
    run = Run.of(attempt, infra_failures=0)
    run.prepare("to_running", Need.WATCH, container_id="c1", timeout_seconds=60)
    assert run.move is not None
    assert moves.to_running([{**run.move.row, "who": WHO}]) == {attempt.id}
    Attempt.objects.update(deadline_at=F("deadline_at") - timedelta(seconds=40))  # the database was away
    held, _ = ledger.write_moves([run], WHO, Breadcrumbs().main)
    assert held == [run]
    assert run.deadline_clock == pytest.approx(boot_clock() + 20, abs=2)

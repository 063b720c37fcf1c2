"""Readings for charts: as many as asked for, and the highest of those that each stands for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from jobs.models import Attempt, UsageSample
from jobs.samples import samples
from jobs.states import AttemptState
from tests.jobs.attempts import make_attempt
from tests.support.factories import make_job

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def store(attempt: Attempt, count: int, *, peak_at: int = -1) -> None:
    """A reading each second; one of them with a peak."""
    UsageSample.objects.bulk_create(
        UsageSample(
            attempt=attempt,
            at=NOW + timedelta(seconds=place),
            memory_bytes=900 if place == peak_at else 100,
            cpu_seconds=place / 2,
        )
        for place in range(count)
    )


def test_few_readings_are_told_as_they_are():
    attempt = make_attempt(AttemptState.RUNNING)
    store(attempt, 3)
    found = samples(attempt.pk, most=10)
    assert [(one.at, one.cpu_seconds) for one in found] == [
        (NOW + timedelta(seconds=place), place / 2) for place in range(3)
    ]
    assert found[0].pids is None


def test_many_are_thinned_out_and_keep_their_peaks_and_their_last():
    attempt = make_attempt(AttemptState.RUNNING)
    store(attempt, 1000, peak_at=501)
    found = samples(attempt.pk, most=100)
    assert len(found) == 100
    assert [one.memory_bytes for one in found].count(900) == 1
    assert found[-1].at == NOW + timedelta(seconds=999)
    assert found[-1].cpu_seconds == 999 / 2


def test_those_of_another_attempt_are_not_among_them():
    store(make_attempt(AttemptState.RUNNING), 5)
    assert samples(make_attempt(AttemptState.RUNNING, job=make_job()).pk, most=10) == []

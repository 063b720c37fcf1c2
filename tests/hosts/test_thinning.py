"""Samples of hosts get fewer as they age, and the newest stay whole."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from hosts import thinning
from hosts.models import DockerHost, HostSample
from hosts.thinning import SampleThinner
from tests.support.factories import make_host

pytestmark = pytest.mark.django_db


def store(host: DockerHost, minutes_ago: Iterable[int]) -> None:
    now = datetime.now(UTC)
    HostSample.objects.bulk_create(
        HostSample(host=host, at=now - timedelta(minutes=ago), jobs_running=ago, slots=1)
        for ago in sorted(minutes_ago, reverse=True)
    )


def ages(host: DockerHost) -> list[int]:
    return list(HostSample.objects.filter(host=host).order_by("-pk").values_list("jobs_running", flat=True))


def thin_all(thinner: SampleThinner | None = None) -> None:
    thinner = thinner or SampleThinner()
    while thinner.thin():
        pass


def test_the_last_hour_stays_whole_and_before_it_there_is_one_for_five_minutes():
    one, other = make_host("one"), make_host("other")
    store(one, range(300))
    store(other, range(0, 300, 7))
    thin_all()
    recent, old = [age for age in ages(one) if age < 60], [age for age in ages(one) if age >= 60]
    assert recent == list(range(60))
    assert 48 <= len(old) <= 49
    *steps, last = [after - before for before, after in pairwise(old)]
    assert set(steps) == {5}
    assert 1 <= last <= 5  # the oldest of all may stand anywhere in its five minutes
    assert ages(other) == list(range(0, 300, 7))  # it had no more than that


def test_small_batches_come_to_the_same(monkeypatch):
    host = make_host()
    store(host, range(200))
    monkeypatch.setattr(thinning, "BATCH", 7)
    thin_all()
    in_batches = ages(host)
    thin_all()
    assert ages(host) == in_batches
    assert 28 <= len([age for age in in_batches if age >= 60]) <= 29


def test_what_gets_old_later_is_thinned_by_the_same_process():
    host, thinner = make_host(), SampleThinner()
    store(host, range(120, 180))
    thin_all(thinner)
    before = len(ages(host))
    store(host, range(60, 120))
    thin_all(thinner)
    assert before <= 13
    assert len(ages(host)) <= 25


def test_a_second_supervisor_finds_nothing_left_to_do():
    store(make_host(), range(200))
    thin_all()
    before = set(HostSample.objects.values_list("pk", flat=True))
    thin_all()
    assert set(HostSample.objects.values_list("pk", flat=True)) == before


def test_nothing_to_thin_is_fine():
    assert SampleThinner().thin() is False

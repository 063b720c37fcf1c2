"""Which host should take a job that any host may take."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from hosts import leases
from hosts.models import Availability, DockerHost, HostLease, HostState
from jobs import routing
from jobs.states import SLOT_HOLDING, AttemptState
from tests.jobs.attempts import make_attempt, take
from tests.support.factories import make_host, make_job

pytestmark = pytest.mark.django_db

WEIGHT, FREE = 100, 5


@pytest.fixture
def host() -> DockerHost:
    return make_host("ours", weight=WEIGHT, max_concurrent_jobs=FREE)


def other(weight: int = WEIGHT + 1, slots: int = 10, **fields) -> DockerHost:
    """A host that can be counted on, but for what `fields` say."""
    usual = {"state": HostState.ONLINE, "seen_at": Now()}
    made = make_host("other", weight=weight, max_concurrent_jobs=slots, **{**usual, **fields})
    take(made)
    return made


def is_better(host: DockerHost, free: int = FREE) -> bool:
    return routing.better_host_exists(host, free=free)


def test_alone_a_host_is_the_best(host):
    assert not is_better(host)


@pytest.mark.parametrize(
    ("weight", "slots", "better"),
    [
        (WEIGHT + 1, 1, True),
        (WEIGHT + 1, FREE + 1, True),
        (WEIGHT, FREE + 1, True),
        (WEIGHT, FREE, False),
        (WEIGHT, FREE - 1, False),
        (WEIGHT - 1, 1000, False),
    ],
)
def test_a_heavier_host_is_better_and_among_equals_the_emptier_one(host, weight, slots, better):
    other(weight, slots)
    assert is_better(host) is better


def test_two_equal_hosts_do_not_both_stand_back(host):
    there = other(WEIGHT, FREE)
    take(host)
    DockerHost.objects.update(state=HostState.ONLINE, seen_at=Now())
    assert not is_better(host)
    assert not is_better(there)


@pytest.mark.parametrize("state", AttemptState)
def test_what_holds_a_slot_there_takes_room(host, state):
    there = other(slots=1)
    make_attempt(state, job=make_job(), host=there, outcome="user" if state == "ended" else "")
    assert is_better(host) is (state not in SLOT_HOLDING)


@pytest.mark.parametrize(
    "fields",
    [
        {"is_active": False},
        {"archived_at": Now()},
        {"availability": Availability.CORDONED},
        {"availability": Availability.DRAINING},
        {"state": HostState.UNKNOWN},
        {"state": HostState.UNREACHABLE},
        {"state": HostState.PARKED},
        {"seen_at": None},
        {"seen_at": Now() - timedelta(seconds=46)},
    ],
    ids=lambda fields: "-".join(fields),
)
def test_a_host_that_takes_nothing_or_was_not_seen_lately_is_not_better(host, fields):
    other(**fields)
    assert not is_better(host)


def test_a_host_that_nobody_holds_is_not_better(host):
    there = other()
    HostLease.objects.filter(host=there).update(expires_at=Now() - timedelta(seconds=1))
    assert not is_better(host)
    HostLease.objects.filter(host=there).delete()
    assert not is_better(host)
    leases.release(take(there))
    assert not is_better(host)


def test_one_better_host_among_many_is_enough(host):
    other(WEIGHT - 1)
    assert not is_better(host)
    take(make_host("third", weight=500, state=HostState.ONLINE, seen_at=Now()))
    assert is_better(host)

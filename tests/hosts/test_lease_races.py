"""Leases taken, renewed and used at the same time. SQLite has one writer, so there it cannot happen."""

from __future__ import annotations

import dataclasses
import threading
from datetime import timedelta

import pytest
from django.db import transaction
from django.db.models.functions import Now

from hosts import identity, leases
from hosts.errors import LeaseLost
from hosts.models import HostLease
from tests.support.factories import make_host
from tests.support.racing import PATIENCE_SECONDS, in_background, race, wait_until_blocked

pytestmark = [pytest.mark.postgres_only, pytest.mark.django_db(transaction=True)]

ELSEWHERE = dataclasses.replace(identity.current(), machine="elsewhere")
PAST_ITS_PID = dataclasses.replace(identity.current(), start_ticks=1)  # proved dead


def take(host_id, who=ELSEWHERE):
    with transaction.atomic():
        return leases.take(host_id, who=who)


def test_of_eight_threads_exactly_one_takes_a_free_host():
    host = make_host()
    taken = [lease for lease in race(8, lambda _: take(host.id)) if lease]
    assert [lease.epoch for lease in taken] == [1]
    assert HostLease.objects.get(host=host).owner == taken[0].owner


def test_of_eight_threads_exactly_one_takes_the_host_of_a_dead_process():
    host = make_host()
    take(host.id, PAST_ITS_PID)
    taken = [lease for lease in race(8, lambda _: take(host.id)) if lease]
    assert [lease.epoch for lease in taken] == [2]


def test_a_takeover_waits_for_a_claim_in_flight():
    host = make_host()
    lease = take(host.id, PAST_ITS_PID)
    order, locked = [], threading.Event()

    def claim():
        with transaction.atomic():
            leases.lock_current(lease)
            locked.set()
            wait_until_blocked()  # the takeover, by us
            order.append("claimed")

    with in_background(claim):
        locked.wait(PATIENCE_SECONDS)
        assert take(host.id).epoch == lease.epoch + 1
        order.append("taken")
    assert order == ["claimed", "taken"]


@pytest.mark.parametrize("use", [leases.lock_current, leases.renew])
def test_who_meets_a_takeover_in_flight_finds_the_lease_gone(use):
    host = make_host()
    lease = take(host.id, PAST_ITS_PID)
    taken = threading.Event()

    def late():
        taken.wait(PATIENCE_SECONDS)
        with transaction.atomic(), pytest.raises(LeaseLost):
            use(lease)

    with in_background(late), transaction.atomic():
        leases.take(host.id, who=ELSEWHERE)
        taken.set()
        wait_until_blocked()


def test_a_renewal_in_flight_keeps_the_host_from_a_takeover():
    host = make_host()
    lease = take(host.id)
    HostLease.objects.update(expires_at=Now() - timedelta(seconds=1))
    renewed = threading.Event()

    def late():
        renewed.wait(PATIENCE_SECONDS)
        return take(host.id)

    with in_background(late) as takeover, transaction.atomic():
        leases.renew(lease)
        renewed.set()
        wait_until_blocked()
    assert takeover.result() is None


def test_two_claims_of_one_host_do_not_wait_for_each_other():
    lease = take(make_host().id)
    together = threading.Barrier(2)

    def claim(_number):
        with transaction.atomic():
            leases.lock_current(lease)
            together.wait(PATIENCE_SECONDS)  # both hold it now

    race(2, claim)

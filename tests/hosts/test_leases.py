"""The right to act on a host: who gets it, who keeps it, who has lost it."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from datetime import timedelta

import pytest
from django.db import transaction
from django.db.models.functions import Now

from hosts import identity, leases
from hosts.errors import LeaseLost
from hosts.models import HostLease
from tests.support.factories import make_host

pytestmark = pytest.mark.django_db

ELSEWHERE = dataclasses.replace(identity.current(), machine="elsewhere")


class FakeClock:
    """A clock that a test sets."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def host():
    return make_host()


def expire(host) -> None:
    HostLease.objects.filter(host=host).update(expires_at=Now() - timedelta(milliseconds=1))


def dead_process() -> identity.ProcessIdentity:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    there = dataclasses.replace(
        identity.current(), pid=process.pid, start_ticks=identity.start_ticks(process.pid)
    )
    process.kill()
    process.communicate()
    return there


def test_a_host_that_nobody_ever_held_is_taken_at_the_first_epoch(host):
    lease = leases.take(host.id, who=identity.current())
    assert lease.epoch == 1
    row = HostLease.objects.annotate(now=Now()).get(host=host)
    assert row.owner == lease.owner
    assert timedelta(seconds=29) < row.expires_at - row.now <= timedelta(seconds=30)


def test_a_held_lease_is_not_taken(host):
    first = leases.take(host.id, who=ELSEWHERE)
    assert leases.take(host.id, who=identity.current()) is None
    assert leases.take(host.id, who=ELSEWHERE) is None
    row = HostLease.objects.get(host=host)
    assert (row.epoch, row.owner) == (first.epoch, first.owner)


def test_a_lease_held_by_a_living_process_of_this_machine_is_not_taken(host):
    leases.take(host.id, who=identity.current())
    assert leases.take(host.id, who=identity.current()) is None


@pytest.mark.parametrize("how", ["released", "expired", "proved dead"])
def test_a_free_lease_is_taken_at_the_next_epoch(host, how):
    first = leases.take(host.id, who=dead_process() if how == "proved dead" else ELSEWHERE)
    if how == "released":
        assert leases.release(first)
    elif how == "expired":
        expire(host)
    second = leases.take(host.id, who=ELSEWHERE)
    assert second.epoch == first.epoch + 1
    assert second.owner != first.owner


def test_a_dead_holder_of_another_machine_keeps_its_lease_until_it_expires(host):
    leases.take(host.id, who=dataclasses.replace(dead_process(), machine="elsewhere"))
    assert leases.take(host.id, who=identity.current()) is None


def test_a_released_lease_taken_again_is_not_released_any_more(host):
    leases.release(leases.take(host.id, who=ELSEWHERE))
    leases.take(host.id, who=ELSEWHERE)
    assert leases.take(host.id, who=ELSEWHERE) is None


@pytest.mark.django_db(transaction=True)
def test_a_take_outside_a_transaction_is_a_mistake_of_the_caller(host):
    with pytest.raises(RuntimeError, match="transaction"):
        leases.take(host.id, who=identity.current())


def test_a_renewal_pushes_the_end_forward(host):
    lease = leases.take(host.id, who=ELSEWHERE)
    HostLease.objects.update(expires_at=Now() + timedelta(seconds=1))
    leases.renew(lease)
    assert HostLease.objects.filter(expires_at__gt=Now() + timedelta(seconds=29)).exists()


def test_an_expired_lease_that_nobody_took_is_renewed(host):
    lease = leases.take(host.id, who=ELSEWHERE)
    expire(host)
    leases.renew(lease)
    assert leases.take(host.id, who=ELSEWHERE) is None


def test_a_renewal_after_a_takeover_is_refused_and_changes_nothing(host):
    old = leases.take(host.id, who=ELSEWHERE)
    expire(host)
    leases.take(host.id, who=ELSEWHERE)
    before = HostLease.objects.values().get(host=host)
    with pytest.raises(LeaseLost, match="epoch 1"):
        leases.renew(old)
    assert HostLease.objects.values().get(host=host) == before


def test_a_released_lease_is_not_renewed(host):
    lease = leases.take(host.id, who=ELSEWHERE)
    leases.release(lease)
    with pytest.raises(LeaseLost):
        leases.renew(lease)


def test_only_the_holder_releases(host):
    old = leases.take(host.id, who=ELSEWHERE)
    expire(host)
    leases.take(host.id, who=ELSEWHERE)
    assert not leases.release(old)
    assert leases.take(host.id, who=ELSEWHERE) is None


def test_trust_ends_before_the_lease_and_counts_from_when_it_was_asked_for(host):
    clock = FakeClock()
    lease = leases.take(host.id, who=ELSEWHERE, clock=clock)
    clock.now += leases.TRUST_SECONDS - 0.001
    assert lease.is_trusted()
    clock.now += 0.001
    assert not lease.is_trusted()
    assert leases.TRUST_SECONDS < leases.TTL_SECONDS


def test_a_slow_answer_to_a_renewal_does_not_lengthen_the_trust(host):
    clock = FakeClock()
    lease = leases.take(host.id, who=ELSEWHERE, clock=clock)
    ticks = iter([1010.0, 1030.0])
    lease.clock = lambda: next(ticks)  # asked at 1010, answered at 1030
    leases.renew(lease)
    assert lease.trusted_until == 1010.0 + leases.TRUST_SECONDS


def test_a_refused_renewal_does_not_lengthen_the_trust(host):
    clock = FakeClock()
    lease = leases.take(host.id, who=ELSEWHERE, clock=clock)
    leases.release(lease)
    clock.now += 10
    with pytest.raises(LeaseLost):
        leases.renew(lease)
    assert lease.trusted_until == 1000.0 + leases.TRUST_SECONDS


def test_the_current_lease_may_claim(host):
    leases.lock_current(leases.take(host.id, who=ELSEWHERE))


def test_an_expired_lease_may_not_claim(host):
    lease = leases.take(host.id, who=ELSEWHERE)
    expire(host)
    with pytest.raises(LeaseLost):
        leases.lock_current(lease)


def test_a_released_lease_may_not_claim(host):
    lease = leases.take(host.id, who=ELSEWHERE)
    leases.release(lease)
    with pytest.raises(LeaseLost):
        leases.lock_current(lease)


@pytest.mark.parametrize("field", ["epoch", "owner"])
def test_a_foreign_lease_may_not_claim(host, field):
    lease = leases.take(host.id, who=ELSEWHERE)
    other = {"epoch": lease.epoch - 1, "owner": make_host("host-b").id}[field]
    with pytest.raises(LeaseLost):
        leases.lock_current(dataclasses.replace(lease, **{field: other}))


def test_a_held_host_is_revoked_only_on_request(host):
    lease = leases.take(host.id, who=ELSEWHERE)
    assert leases.revoke(host.id, even_if_held=False) is None
    assert leases.revoke(host.id, even_if_held=True) == lease.epoch + 1
    with pytest.raises(LeaseLost):
        leases.renew(lease)
    assert leases.take(host.id, who=ELSEWHERE).epoch == lease.epoch + 2


def test_a_take_that_was_rolled_back_leaves_the_host_free(host):
    with transaction.atomic():
        leases.take(host.id, who=ELSEWHERE)
        transaction.set_rollback(True)
    assert leases.take(host.id, who=ELSEWHERE).epoch == 1


def test_after_an_outage_an_expired_lease_is_left_to_its_holder_for_a_while(host):
    held = leases.take(host.id, who=ELSEWHERE)
    expire(host)
    assert leases.take(host.id, who=identity.current(), even_expired=False) is None
    leases.renew(held)
    assert leases.take(host.id, who=identity.current()) is None


def test_a_released_host_is_taken_at_once_even_after_an_outage(host):
    leases.release(leases.take(host.id, who=ELSEWHERE))
    assert leases.take(host.id, who=identity.current(), even_expired=False)


def test_the_host_of_a_dead_process_is_taken_at_once_even_after_an_outage(host):
    leases.take(host.id, who=dead_process())
    assert leases.take(host.id, who=identity.current(), even_expired=False)

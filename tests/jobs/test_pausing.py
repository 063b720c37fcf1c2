"""A pause of everything: what was being claimed is claimed, and after it nothing is."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from hosts import installation, pausing
from jobs import claims
from jobs.models import Attempt
from tests.jobs.attempts import take
from tests.support.factories import make_host, make_job
from tests.support.racing import in_background, race, wait_until_blocked
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.postgres_only, pytest.mark.django_db(transaction=True)]


def test_once_a_pause_has_returned_nobody_claims_anything_any_more() -> None:
    hosts = [make_host(f"host-{number}") for number in range(4)]
    holders = [(take(host), host) for host in hosts]
    for _ in range(200):
        make_job()
    ours = installation.current().id
    paused = threading.Event()
    at_the_pause: list[int] = []

    def work(number: int) -> None:
        if number == len(holders):
            wait_until(lambda: Attempt.objects.count() > 10, what="claims")
            pausing.pause_all(by="test")
            at_the_pause.append(Attempt.objects.count())
            paused.set()
            return
        lease, host = holders[number]
        wanted = claims.Wanted(room=1)
        claimed_after = 0
        while claimed_after < 5:
            is_paused = paused.is_set()
            claims.claim(lease, host, wanted, installation=ours, who="test")
            claimed_after += is_paused

    race(len(holders) + 1, work)
    assert 0 < at_the_pause[0] < 200
    assert Attempt.objects.count() == at_the_pause[0]


def test_a_pause_waits_for_the_claim_under_way() -> None:
    host = make_host()
    lease = take(host)
    make_job()
    ours = installation.current().id
    stood_back = threading.Event()
    go_on = threading.Event()

    def stand_back() -> bool:
        stood_back.set()
        go_on.wait(10)
        return False

    wanted = claims.Wanted(room=1, stand_back=stand_back)
    claim = partial(claims.claim, lease, host, wanted, installation=ours, who="test")
    with in_background(claim) as claiming:
        assert stood_back.wait(10)
        with in_background(lambda: pausing.pause_all(by="test")) as pause:
            wait_until_blocked()
            assert not pause.done()
            go_on.set()
        assert len(claiming.result(10)) == 1

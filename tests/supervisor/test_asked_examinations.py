"""Which connection tests a supervisor takes, and how many at once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from hosts import operations
from hosts.models import HostRequest
from supervisor import requests
from tests.support.factories import make_host

pytestmark = pytest.mark.django_db


def test_each_test_is_taken_once_and_lasts_longer_from_then_on() -> None:
    host = make_host(is_active=False)
    request = operations.request_examination(host.pk, by="test")
    taken = requests.take_examinations(not_of=[])
    assert taken == [{"request": str(request.pk), "name": host.name}]
    assert requests.take_examinations(not_of=[]) == []
    after = HostRequest.objects.get(pk=request.pk)
    assert after.expires_at > request.at + timedelta(seconds=80)


def test_a_host_that_another_supervisor_holds_is_left_to_it() -> None:
    theirs, ours = make_host("theirs"), make_host("ours")
    for host in (theirs, ours):
        operations.request_examination(host.pk, by="test")
    assert [one["name"] for one in requests.take_examinations(not_of=[theirs.pk])] == ["ours"]


def test_a_supervisor_that_is_bound_to_hosts_takes_tests_of_these_only() -> None:
    for name in ("one", "two"):
        operations.request_examination(make_host(name).pk, by="test")
    assert [one["name"] for one in requests.take_examinations(not_of=[], names=["two"])] == ["two"]


def test_few_run_at_once_and_the_next_follow_as_they_end() -> None:
    hosts = [make_host(f"host-{number}") for number in range(10)]
    for host in hosts:
        operations.request_examination(host.pk, by="test", among=len(hosts))
    first = requests.take_examinations(not_of=[])
    assert [one["name"] for one in first] == [f"host-{number}" for number in range(6)]
    assert requests.take_examinations(not_of=[]) == []
    HostRequest.objects.filter(pk=first[0]["request"]).update(done_at=timezone.now())
    assert [one["name"] for one in requests.take_examinations(not_of=[])] == ["host-6"]


def test_one_that_has_expired_is_left_alone() -> None:
    request = operations.request_examination(make_host().pk, by="test")
    HostRequest.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert requests.take_examinations(not_of=[]) == []
    assert requests.asked().rows() == []
    assert HostRequest.objects.get(pk=request.pk).taken_at is None


def test_what_the_process_of_a_test_has_said_stands() -> None:
    request = operations.request_examination(make_host().pk, by="test")
    HostRequest.objects.update(done_at=timezone.now(), ok=True, result="Reachable.")
    requests.answer({"request": str(request.pk), "ok": False, "result": "cut off"})
    assert HostRequest.objects.get().result == "Reachable."

"""The one statement by which an idle worker sees that there is something for it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction
from django.db.models.functions import Now

from hosts import identity, leases
from hosts.leases import Lease
from hosts.models import DockerHost, HostRequest
from jobs.models import Attempt, ContainerJob
from supervisor.worker.look import Look, Seen
from tests.support.factories import make_host, make_job

pytestmark = pytest.mark.django_db


@pytest.fixture
def host() -> DockerHost:
    return make_host()


@pytest.fixture
def lease(host: DockerHost) -> Lease:
    with transaction.atomic():
        lease = leases.take(host.pk, who=identity.current())
    assert lease is not None
    return lease


def seen(lease: Lease) -> Seen:
    found = Look(lease).take()
    assert found is not None
    return found


def flags(lease: Lease) -> tuple[bool, bool, bool, bool]:
    found = seen(lease)
    return found.has_lease, found.has_attempts, found.has_requests, found.has_jobs


def attempt_of(host: DockerHost, **fields: object) -> Attempt:
    job = make_job(host=host, status="running")
    return Attempt.objects.create(
        job=job, number=1, host=host, host_name=host.name, container_name="c", **fields
    )


def test_an_idle_host_has_nothing_new(lease: Lease) -> None:
    look = Look(lease)
    assert look.take() == look.take()
    assert flags(lease) == (True, False, False, False)


@pytest.mark.parametrize("pinned", [True, False])
def test_a_job_for_it_is_seen_however_it_was_handed_in(lease: Lease, host: DockerHost, pinned: bool) -> None:
    make_job(host=host if pinned else None)
    assert seen(lease).has_jobs


def test_a_job_of_another_host_or_held_or_taken_is_not_for_it(lease: Lease, host: DockerHost) -> None:
    make_job(host=make_host("other"))
    make_job(host=host, hold="stopped")
    make_job(host=host, status=ContainerJob._meta.get_field("status").choices[1][0])
    assert not seen(lease).has_jobs


def test_an_open_attempt_under_its_epoch_is_seen(lease: Lease, host: DockerHost) -> None:
    attempt = attempt_of(host, epoch=lease.epoch)
    assert seen(lease).has_attempts
    Attempt.objects.filter(pk=attempt.pk).update(state="ended", outcome="succeeded", ended_at=Now())
    assert not seen(lease).has_attempts


def test_a_request_is_seen_until_it_is_answered_or_too_old(lease: Lease, host: DockerHost) -> None:
    request = HostRequest.objects.create(host=host, verb="test", expires_at=Now() + timedelta(minutes=1))
    assert seen(lease).has_requests
    HostRequest.objects.filter(pk=request.pk).update(taken_at=Now())
    assert seen(lease).has_requests
    HostRequest.objects.filter(pk=request.pk).update(done_at=Now())
    assert not seen(lease).has_requests


@pytest.mark.parametrize(
    "change",
    [
        {"max_concurrent_jobs": 3},
        {"weight": 7},
        {"availability": "cordoned"},
        {"is_active": False},
        {"executor_config": {"timeout": 5}},
        {"connection_string": "unix:///elsewhere.sock"},
    ],
)
def test_a_change_of_the_host_is_seen(lease: Lease, host: DockerHost, change: dict[str, object]) -> None:
    before = seen(lease).settings
    DockerHost.objects.filter(pk=host.pk).update(**change)
    assert seen(lease).settings != before


def test_what_the_worker_itself_writes_of_the_host_is_no_news(lease: Lease, host: DockerHost) -> None:
    before = seen(lease).settings
    DockerHost.objects.filter(pk=host.pk).update(seen_at=Now(), state="online", orphans=[])
    assert seen(lease).settings == before


def test_a_lost_lease_and_a_host_that_is_gone_are_seen(lease: Lease, host: DockerHost) -> None:
    look = Look(lease)
    leases.revoke(host.pk, even_if_held=True)
    assert not seen(lease).has_lease
    DockerHost.objects.filter(pk=host.pk).delete()
    assert look.take() is None

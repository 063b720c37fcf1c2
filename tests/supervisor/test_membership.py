"""What a supervisor sees of the others, and of the hosts they hold."""

from __future__ import annotations

import os
import uuid
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from hosts import identity, leases
from hosts.models import DockerHost, HostLease
from supervisor import membership
from supervisor.models import DRAINING, RUNNING, Role, SupervisorProcess
from supervisor.processes import Known
from supervisor.sharing import Sight
from tests.jobs.attempts import take
from tests.support.factories import make_host

pytestmark = pytest.mark.django_db

ME = uuid.UUID(int=1)
OTHER = uuid.UUID(int=2)


def process(role: Role, supervisor: uuid.UUID = OTHER, **fields: object) -> SupervisorProcess:
    """A process on another machine, so nothing is proved of it."""
    place = {"machine": "elsewhere", "boot_id": "b", "pid": 7, "start_ticks": 8, "state": RUNNING}
    return SupervisorProcess.objects.create(supervisor=supervisor, role=role, **{**place, **fields})


def ours() -> list[Known]:
    mine = identity.current()
    return [Known(role=Role.WORKER, pid=mine.pid, start_ticks=mine.start_ticks)]


def sight(host: DockerHost) -> Sight:
    return membership.sights([host], membership.colleagues(ME), ours())[host.pk]


def test_living_masters_are_colleagues_and_others_are_not() -> None:
    host = make_host()
    process(Role.MASTER, ME)
    process(Role.MASTER, uuid.UUID(int=3), state=DRAINING)
    process(Role.MASTER, uuid.UUID(int=4), heartbeat_at=Now() - timedelta(seconds=16))
    here = identity.current()
    dead = {"machine": here.machine, "boot_id": here.boot_id, "pid_namespace": here.pid_namespace}
    process(Role.MASTER, uuid.UUID(int=5), **dead, pid=os.getpid(), start_ticks=1)
    assert membership.colleagues(ME).counts == {}
    process(Role.MASTER)
    process(Role.CLERK)
    process(Role.WORKER, host=host)
    found = membership.colleagues(ME)
    assert (found.counts, found.taken) == ({OTHER: 1}, {host.pk})


def test_for_one_that_is_alone_every_host_is_free_without_a_look_at_its_lease(
    django_assert_num_queries,
) -> None:
    host = make_host()
    take(host)
    with django_assert_num_queries(1):
        assert sight(host) == Sight(is_free=True)


def test_a_host_is_free_ours_or_somebody_elses() -> None:
    host = make_host("a", connection_string="tcp://a:1")
    process(Role.MASTER)
    assert sight(host) == Sight(is_free=True)
    lease = take(host)
    assert sight(host) == Sight(is_ours=True)
    HostLease.objects.update(machine="elsewhere")
    assert sight(host) == Sight()
    HostLease.objects.update(expires_at=Now() - timedelta(seconds=1))
    assert sight(host) == Sight(is_free=True)
    HostLease.objects.update(machine=identity.current().machine, expires_at=Now() + timedelta(seconds=9))
    leases.release(lease)
    assert sight(host) == Sight(is_free=True)
    process(Role.WORKER, host=host)
    assert sight(host) == Sight(), "its worker will take it in a moment"


def test_a_lease_that_ran_out_is_free_although_its_worker_still_has_a_supervisor() -> None:
    host = make_host("a", connection_string="tcp://a:1")
    process(Role.MASTER)
    process(Role.WORKER, host=host)
    take(host)
    HostLease.objects.update(machine="elsewhere")
    assert sight(host) == Sight()
    HostLease.objects.update(expires_at=Now() - timedelta(seconds=1))
    assert sight(host) == Sight(is_free=True), "a frozen worker has lost it"


@pytest.mark.parametrize("url", ["unix:///run/a.sock", "context://far", ""])
def test_a_socket_belongs_to_a_machine_as_long_as_a_supervisor_lives_there(url: str) -> None:
    host = make_host("a", state="unreachable", connection_string=url)
    process(Role.MASTER)
    take(host)
    assert sight(host) == Sight(is_ours=True, is_away=True, is_ours_alone=True)
    HostLease.objects.update(machine="elsewhere", released_at=Now())
    assert sight(host) == Sight(is_free=True, is_away=True, is_bound=True)
    SupervisorProcess.objects.update(machine="a third one")
    assert sight(host) == Sight(is_free=True, is_away=True)

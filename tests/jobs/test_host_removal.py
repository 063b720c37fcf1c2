"""Taking a host out of use: deleted if it has no history, else archived, and refused while it is needed."""

from __future__ import annotations

import pytest

from hosts.models import DockerHost
from hosts.operations import HostRefused
from jobs import host_removal
from jobs.states import AttemptState
from tests.jobs.attempts import make_attempt, take
from tests.support.factories import make_host, make_job

pytestmark = pytest.mark.django_db


@pytest.fixture
def host() -> DockerHost:
    return make_host()


def test_a_host_without_history_is_deleted(host):
    take(host)
    assert host_removal.remove(host.id)
    assert not DockerHost.objects.exists()


@pytest.mark.parametrize("history", ["attempt", "job"])
def test_a_host_with_history_is_archived_and_switched_off(host, history):
    if history == "attempt":
        make_attempt(AttemptState.ENDED, host=host, outcome="user")
    else:
        make_job(host=host, status="cancelled")
    assert not host_removal.remove(host.id)
    host.refresh_from_db()
    assert host.archived_at
    assert not host.is_active


def test_a_host_with_open_jobs_is_refused(host):
    make_attempt(AttemptState.RUNNING, host=host)
    with pytest.raises(HostRefused, match="1 open job"):
        host_removal.remove(host.id)
    assert DockerHost.objects.get().is_active


def test_a_host_that_pending_jobs_are_pinned_to_is_refused(host):
    make_job(host=host)
    with pytest.raises(HostRefused, match="1 pending job"):
        host_removal.remove(host.id)


def test_shared_jobs_and_jobs_of_other_hosts_do_not_matter(host):
    make_job()
    make_job(host=make_host("host-b"))
    assert host_removal.remove(host.id)

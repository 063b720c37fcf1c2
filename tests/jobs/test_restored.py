from __future__ import annotations

import uuid
from dataclasses import replace

import pytest

from hosts.leases import Lease
from hosts.models import DockerHost
from jobs import restored
from jobs.models import ContainerJob, JobEvent
from jobs.states import AttemptState
from tests.jobs.attempts import make_attempt, take
from tests.support.factories import make_host, make_job

pytestmark = pytest.mark.django_db


@pytest.fixture
def host() -> DockerHost:
    return make_host("here")


@pytest.fixture
def lease(host: DockerHost) -> Lease:
    return take(host)


def test_a_job_that_waits_for_any_host_is_sent_to_the_one_with_its_container(
    host: DockerHost, lease: Lease
) -> None:
    job, other = make_job(), make_job()
    assert restored.send_to_container([job.id, uuid.uuid4()], host, lease, who="w") == [job.id]
    assert ContainerJob.objects.get(pk=job.id).docker_host == host
    assert ContainerJob.objects.get(pk=other.id).docker_host is None
    event = JobEvent.objects.get(kind="pinned")
    assert (event.job_id, event.who) == (job.id, "w")
    assert "to here, which has its container" in event.message
    assert restored.send_to_container([job.id], host, lease, who="w") == []


def test_one_that_is_pinned_elsewhere_or_not_pending_stays_as_it_is(host: DockerHost, lease: Lease) -> None:
    elsewhere = make_job(host=make_host("elsewhere"))
    running = make_attempt(AttemptState.RUNNING, job=make_job(), host=host).job
    assert restored.send_to_container([elsewhere.id, running.id], host, lease, who="w") == []


def test_a_worker_that_lost_its_lease_sends_nothing(host: DockerHost, lease: Lease) -> None:
    stale = replace(lease, epoch=lease.epoch - 1)
    assert restored.send_to_container([make_job().id], host, stale, who="w") == []

"""Why each pending job waits."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from hosts.models import Availability, DockerHost, HostState
from jobs import reasons
from jobs.models import ContainerJob
from jobs.states import AttemptState
from tests.jobs.attempts import make_attempt
from tests.support.factories import make_host, make_job

pytestmark = pytest.mark.django_db


def online(name: str = "berlin", **fields) -> DockerHost:
    return make_host(name, **{"state": HostState.ONLINE, **fields})


def fill(host: DockerHost, state: AttemptState = AttemptState.RUNNING) -> None:
    for _ in range(host.max_concurrent_jobs):
        make_attempt(state, job=make_job(), host=host)


def reason(job: ContainerJob) -> str:
    reasons.write()
    job.refresh_from_db()
    return job.pending_reason


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"hold": "stopped"}, "Stopped by a person; start it again"),
        ({"hold": "restart"}, "Waits for the job it restarts to end"),
        ({"not_before_at": Now() + timedelta(minutes=1)}, "Waits before it is tried again"),
        ({"not_before_at": Now() - timedelta(minutes=1)}, "Is about to start"),
        ({}, "Is about to start"),
    ],
)
def test_why_a_job_itself_waits(fields, text):
    online()
    assert reason(make_job(**fields)) == text


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "is about to start it"),
        ({"is_active": False}, "is switched off"),
        ({"archived_at": Now()}, "is switched off"),
        ({"availability": Availability.CORDONED}, "is cordoned"),
        ({"availability": Availability.DRAINING}, "is draining"),
        ({"state": HostState.UNKNOWN}, "has not been seen yet; is a supervisor running?"),
        ({"state": HostState.UNREACHABLE, "state_reason": "refused"}, "is unreachable: refused"),
        ({"state": HostState.PARKED, "state_reason": "Another engine."}, "is parked: Another engine."),
    ],
)
def test_why_a_pinned_job_waits_for_its_host(fields, text):
    host = online(**fields)
    online("paris")
    assert reason(make_job(host=host)) == f"Host berlin {text}"


def test_a_pinned_job_waits_while_its_host_is_full():
    host = online(max_concurrent_jobs=2)
    fill(host)
    assert reason(make_job(host=host)) == "Host berlin is full"


@pytest.mark.parametrize("state", [AttemptState.EXITED, AttemptState.ENDED])
def test_a_container_that_has_ended_leaves_room(state):
    host = online(max_concurrent_jobs=1)
    make_attempt(state, host=host, outcome="user" if state == "ended" else "")
    assert reason(make_job(host=host)) == "Host berlin is about to start it"


def test_a_shared_job_waits_for_a_first_host():
    assert reason(make_job()) == "There is no host; add one with manage_docker_host add"


def test_a_shared_job_waits_while_no_host_takes_jobs():
    online(availability=Availability.CORDONED)
    make_host("paris", weight=500)
    text = "paris has not been seen yet; is a supervisor running?; berlin is cordoned"
    assert reason(make_job()) == f"No host takes jobs: {text}"


def test_a_shared_job_waits_while_all_open_hosts_are_full():
    fill(online(max_concurrent_jobs=1))
    make_host("paris")
    job = make_job()
    assert reason(job) == "All hosts are full"
    online("rome")
    assert reason(job) == "Is about to start"


def test_hosts_that_were_removed_are_not_worth_a_word():
    make_host("old", archived_at=Now())
    assert reason(make_job()) == "There is no host; add one with manage_docker_host add"
    online(availability=Availability.CORDONED)
    assert reason(make_job()) == "No host takes jobs: berlin is cordoned"


def test_a_long_reason_is_cut():
    make_host(state=HostState.UNREACHABLE, state_reason="x" * 500)
    assert len(reason(make_job())) == 200


def test_nothing_is_written_while_nothing_changes(django_assert_max_num_queries):
    host = online()
    for hold in ("", "stopped", "restart"):
        make_job(hold=hold)
        make_job(host=host, hold=hold)
    assert reasons.write() == 6
    before = list(ContainerJob.objects.order_by("pk").values())
    assert reasons.write() == 0
    assert list(ContainerJob.objects.order_by("pk").values()) == before
    make_job()
    assert reasons.write() == 1


@pytest.mark.parametrize("status", ["starting", "running", "completed"])
def test_only_pending_jobs_have_a_reason(status):
    online()
    assert reason(make_job(status=status)) == ""


def test_without_pending_jobs_the_hosts_are_not_looked_at(django_assert_num_queries):
    online()
    with django_assert_num_queries(1):
        assert reasons.write() == 0


def test_the_number_of_jobs_does_not_make_it_slower(django_assert_max_num_queries):
    host = online()
    for _ in range(20):
        make_job()
        make_job(host=host)
    with django_assert_max_num_queries(10):
        assert reasons.write() == 40

"""Giving a host up: everything open on it ends as lost, and nobody who held it writes any more."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from hosts import leases
from hosts.errors import LeaseLost
from hosts.models import DockerHost, HostLease, HostState
from hosts.operations import HostRefused
from jobs import moves
from jobs.declare_lost import declare_attempt_lost, declare_lost
from jobs.models import Attempt, ContainerExecution, ContainerJob, JobEvent, Tally
from jobs.operations import Refused
from jobs.states import OPEN_STATES, AttemptState
from tests.jobs.attempts import everything, make_attempt, row, take
from tests.jobs.chunks import err, out, store
from tests.jobs.test_usage import READING, store_readings
from tests.support import own_executors
from tests.support.factories import make_host, make_job, make_template

pytestmark = pytest.mark.django_db


@pytest.fixture
def host() -> DockerHost:
    return make_host(state=HostState.UNREACHABLE)


@pytest.mark.parametrize("state", OPEN_STATES)
def test_what_was_open_ends_as_lost(host, state):
    attempt = make_attempt(state, host=host)
    assert declare_lost(host.id, who="ann") == 1
    attempt.refresh_from_db()
    assert (attempt.state, attempt.outcome, attempt.failure_class) == ("ended", "lost", "declared_lost")
    assert not attempt.logs_complete
    assert "declared lost" in attempt.logs_note
    job = ContainerJob.objects.get()
    assert job.status == "failed"
    assert "not known" in job.failure_message
    assert "may still run" in job.failure_hint
    assert JobEvent.objects.get().who == "ann"


def test_the_host_is_switched_off_and_what_is_elsewhere_goes_on(host):
    elsewhere = make_attempt(job=make_job(), host=make_host("host-b"))
    ended = make_attempt(AttemptState.ENDED, job=make_job(), host=host, outcome="succeeded")
    assert declare_lost(host.id, who="ann") == 0
    host.refresh_from_db()
    assert not host.is_active
    for attempt, outcome in ((elsewhere, ""), (ended, "succeeded")):
        attempt.refresh_from_db()
        assert attempt.outcome == outcome


def test_what_was_said_and_used_so_far_is_kept(host):
    attempt = make_attempt(AttemptState.RUNNING, host=host)
    Attempt.objects.update(started_at=Now() - timedelta(seconds=90))
    store(attempt, out("out\n"), err("err\n"))
    store_readings(attempt, READING)
    declare_lost(host.id, who="ann")
    said = ContainerExecution.objects.get()
    assert (said.stdout, said.stderr, said.stdout_bytes) == ("out\n", "err\n", 4)
    assert (said.peak_memory_bytes, said.peak_pids) == (READING.memory_bytes, READING.pids)
    tally = Tally.objects.get()
    assert (tally.outcome, tally.count, tally.within_10m) == ("lost", 1, 1)


def test_a_job_whose_owner_lets_it_runs_again_elsewhere(host):
    template = make_template(max_attempts=2, retry_on=["lost"])
    for number in (1, 2):
        attempt = make_attempt(AttemptState.RUNNING, job=make_job(template), host=host)
        Attempt.objects.filter(pk=attempt.pk).update(number=number)
        ContainerJob.objects.filter(pk=attempt.job_id).update(attempt_count=number)
    declare_lost(host.id, who="ann")
    statuses = ContainerJob.objects.order_by("attempt_count").values_list("status", flat=True)
    assert list(statuses) == ["pending", "failed"]


def test_who_held_it_has_lost_it(host):
    lease = take(host)
    attempt = make_attempt(AttemptState.RUNNING, host=host, epoch=lease.epoch)
    declare_lost(host.id, who="ann")
    assert not moves.to_stopping([row(attempt)])
    with pytest.raises(LeaseLost):
        leases.renew(lease)


def test_a_host_that_is_held_and_online_is_refused():
    host = make_host(state=HostState.ONLINE)
    make_attempt(AttemptState.RUNNING, host=host, epoch=take(host).epoch)
    before = everything()
    with pytest.raises(HostRefused, match="Drain it"):
        declare_lost(host.id, who="ann")
    assert everything() == before
    assert DockerHost.objects.get().is_active


def test_a_host_that_was_online_and_is_held_no_more_can_be_given_up():
    host = make_host(state=HostState.ONLINE)
    take(host)
    HostLease.objects.update(expires_at=Now() - timedelta(seconds=1))
    make_attempt(AttemptState.RUNNING, host=host)
    assert declare_lost(host.id, who="ann") == 1


# --- one attempt ---


@pytest.fixture
def platform(settings) -> DockerHost:
    """A host whose executor can only launch."""
    settings.TALLYMAN_EXECUTORS = {"mine": f"{own_executors.__name__}.MyCustomExecutor"}
    return make_host("platform", executor_type="mine", state=HostState.ONLINE)


@pytest.mark.parametrize("state", OPEN_STATES)
def test_an_attempt_that_nobody_can_ask_about_ends_as_lost(platform, state):
    attempt, other = make_attempt(state, host=platform), make_attempt(job=make_job(), host=platform)
    declare_attempt_lost(attempt.job_id, who="ann")
    attempt.refresh_from_db()
    other.refresh_from_db()
    assert (attempt.state, attempt.outcome, attempt.failure_class) == ("ended", "lost", "lost")
    assert (other.state, attempt.logs_complete) == (AttemptState.CLAIMED, False)
    event = JobEvent.objects.get(job=attempt.job)
    assert (event.who, event.message) == ("ann", "declared lost")
    platform.refresh_from_db()
    assert platform.is_active


def test_a_lost_attempt_is_followed_by_another_only_with_its_owners_consent(platform):
    spec = {"max_attempts": 2, "retry_on": ["lost"]}
    attempts = [make_attempt(job=make_job(), host=platform) for _ in range(2)]
    Attempt.objects.filter(pk=attempts[1].pk).update(spec={**attempts[1].spec, **spec})
    for attempt in attempts:
        declare_attempt_lost(attempt.job_id, who="ann")
    assert [ContainerJob.objects.get(pk=one.job_id).status for one in attempts] == ["failed", "pending"]


def test_an_attempt_whose_executor_can_be_asked_is_for_nobody_to_call_lost(host):
    attempt = make_attempt(AttemptState.RUNNING, host=host)
    with pytest.raises(Refused, match="can be asked what became of job"):
        declare_attempt_lost(attempt.job_id, who="ann")
    attempt.refresh_from_db()
    assert attempt.state == AttemptState.RUNNING


def test_a_job_without_an_open_attempt_has_none_that_could_be_lost(platform):
    ended = make_attempt(AttemptState.ENDED, host=platform, outcome="succeeded")
    with pytest.raises(Refused, match="no attempt under way"):
        declare_attempt_lost(ended.job_id, who="ann")


def test_an_executor_that_is_unknown_here_decides_nothing(platform, settings):
    attempt = make_attempt(host=platform)
    settings.TALLYMAN_EXECUTORS = {}
    with pytest.raises(Refused, match="Nothing is known here"):
        declare_attempt_lost(attempt.job_id, who="ann")

"""Why each pending job waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db.models.functions import Now

from hosts.models import Availability, DockerHost, HostLease, HostState
from jobs import reasons
from jobs.models import Attempt, ContainerJob
from jobs.states import AttemptState
from tests.jobs.attempts import end, make_attempt, take
from tests.support.factories import make_host, make_job

pytestmark = pytest.mark.django_db


def online(name: str = "berlin", *, held: bool = True, **fields) -> DockerHost:
    """A host that answers; `held`: by a worker."""
    host = make_host(name, **{"state": HostState.ONLINE, **fields})
    if held:
        take(host)
    return host


def fill(host: DockerHost, state: AttemptState = AttemptState.RUNNING) -> None:
    for _ in range(host.max_concurrent_jobs):
        make_attempt(state, job=make_job(), host=host)


def reason(job: ContainerJob) -> str:
    reasons.write()
    job.refresh_from_db()
    return job.pending_reason


def waits_for_long(job: ContainerJob) -> ContainerJob:
    ContainerJob.objects.filter(pk=job.pk).update(created_at=Now() - timedelta(minutes=1))
    return job


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"hold": "stopped"}, "Stopped by a person; start it again"),
        ({"hold": "restart"}, "Waits for the job it restarts to end"),
        ({"not_before_at": datetime(2100, 5, 1, 14, 5, 10, tzinfo=UTC)}, "Starts at 2100-05-01 14:05:10 UTC"),
        ({"not_before_at": Now() - timedelta(seconds=1)}, ""),
        ({}, ""),
    ],
)
def test_why_a_job_itself_waits(fields, text):
    online()
    assert reason(make_job(**fields)) == text


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"is_active": False}, "is switched off"),
        ({"archived_at": Now()}, "is switched off"),
        ({"availability": Availability.CORDONED}, "is cordoned"),
        ({"availability": Availability.DRAINING}, "is draining"),
        ({"held": False}, "is held by no worker; is a supervisor running for it?"),
        ({"state": HostState.UNKNOWN}, "has not been seen yet"),
        ({"state": HostState.UNREACHABLE, "state_reason": "berlin: refused."}, "is unreachable: refused."),
        (
            {
                "state": HostState.UNREACHABLE,
                "state_since_at": datetime(2026, 5, 1, 14, 5, 10, tzinfo=UTC),
                "state_reason": "refused",
            },
            "is unreachable since 2026-05-01 14:05:10 UTC: refused",
        ),
        (
            {"held": False, "state": HostState.PARKED, "state_reason": "Another engine."},
            "is parked: Another engine.",
        ),
    ],
)
def test_why_a_pinned_job_waits_for_its_host(fields, text):
    host = online(**fields)
    online("paris")
    assert reason(make_job(host=host)) == f"Host berlin {text}"


def test_a_host_whose_worker_let_go_or_died_is_held_by_nobody():
    host = online()
    job = make_job(host=host)
    HostLease.objects.update(expires_at=Now() - timedelta(seconds=1))
    assert "held by no worker" in reason(job)
    HostLease.objects.update(expires_at=Now() + timedelta(seconds=30))
    assert reason(job) == ""
    HostLease.objects.update(released_at=Now())
    assert "held by no worker" in reason(job)


def test_a_pinned_job_waits_while_its_host_is_full():
    host = online(max_concurrent_jobs=2)
    fill(host)
    assert reason(make_job(host=host)) == "Host berlin is full (2 of 2 slots)"


def test_a_job_that_is_taken_at_once_has_no_reason_and_one_that_is_not_has():
    host = online()
    for job in (make_job(host=host), make_job()):
        assert reason(job) == ""
        assert "There is room, but its worker has not taken it yet" in reason(waits_for_long(job))


def failed(outcome: str, **fields) -> ContainerJob:
    """A pending job whose attempt ended just now; the next one is due in a minute."""
    attempt = make_attempt(AttemptState.EXITED, job=fields.pop("job", None))
    template = {"max_attempts": 3, "infra_retries": 4}
    Attempt.objects.filter(pk=attempt.pk).update(spec={**attempt.spec, **template})
    assert end(attempt, outcome, job_status="pending", retry_delay_seconds=60.0, **fields)
    attempt.job.refresh_from_db()
    return attempt.job


@pytest.mark.parametrize(
    ("outcome", "fields", "text"),
    [
        ("user", {"failure_class": "exit_code", "exit_code": 3}, "Attempt 2 of 3 at {at}, after exit code 3"),
        ("oom", {"failure_message": "It ran out."}, "Attempt 2 of 3 at {at}, after: It ran out."),
        (
            "infra",
            {"failure_message": "The disk is full.", "infra_failures": 1},
            "Start is tried again at {at} (1 of 4): The disk is full.",
        ),
    ],
)
def test_a_backoff_says_until_when_and_after_what(outcome, fields, text):
    online()
    job = failed(outcome, **fields)
    assert job.not_before_at is not None
    assert reason(job) == text.format(at=reasons.clock(job.not_before_at))
    assert reasons.write() == 0


def test_launches_that_failed_do_not_count_as_attempts():
    online()
    job = failed("infra", infra_failures=1)
    reason(job)
    ContainerJob.objects.filter(pk=job.pk).update(pending_reason="", not_before_at=None)  # as a claim does
    failed("user", job=job, failure_class="exit_code", exit_code=1, infra_failures=1)
    assert reason(job).startswith("Attempt 2 of 3 at ")


def test_a_moment_soon_is_told_by_its_time_alone():
    moment = datetime.now(UTC)
    assert reasons.clock(moment) == moment.strftime("%H:%M:%S UTC")


@pytest.mark.parametrize("state", [AttemptState.EXITED, AttemptState.ENDED])
def test_a_container_that_has_ended_leaves_room(state):
    host = online(max_concurrent_jobs=1)
    make_attempt(state, host=host, outcome="user" if state == "ended" else "")
    assert reason(make_job(host=host)) == ""


def test_a_shared_job_waits_for_a_first_host():
    assert reason(make_job()) == "There is no host; add one with manage_docker_host add"


def test_a_shared_job_waits_while_no_host_takes_jobs():
    online(availability=Availability.CORDONED)
    make_host("paris", weight=500)
    text = "paris is held by no worker; is a supervisor running for it?; berlin is cordoned"
    assert reason(make_job()) == f"No host takes it: {text}"


def test_a_shared_job_waits_while_all_open_hosts_are_full():
    fill(online(max_concurrent_jobs=1))
    online("paris", availability=Availability.CORDONED)
    job = make_job()
    assert reason(job) == "No host takes it: berlin is full (1 of 1 slots); paris is cordoned"
    online("rome")
    assert reason(job) == ""


def test_hosts_that_were_removed_are_not_worth_a_word():
    make_host("old", archived_at=Now())
    assert reason(make_job()) == "There is no host; add one with manage_docker_host add"
    online(availability=Availability.CORDONED)
    assert reason(make_job()) == "No host takes it: berlin is cordoned"


def test_a_long_reason_is_cut():
    online(state=HostState.UNREACHABLE, state_reason="x" * 500)
    assert len(reason(make_job())) == 200


def test_nothing_is_written_while_nothing_changes(django_assert_max_num_queries):
    host = online()
    for hold in ("", "stopped", "restart"):
        waits_for_long(make_job(hold=hold))
        waits_for_long(make_job(host=host, hold=hold))
    assert reasons.write() == 6
    before = list(ContainerJob.objects.order_by("pk").values())
    assert reasons.write() == 0
    assert list(ContainerJob.objects.order_by("pk").values()) == before
    make_job(hold="stopped")
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
        waits_for_long(make_job())
        waits_for_long(make_job(host=host))
    with django_assert_max_num_queries(10):
        assert reasons.write() == 40


def test_so_many_jobs_get_another_reason_at_once_and_the_rest_after_them(monkeypatch):
    monkeypatch.setattr(reasons, "_MOST_AT_ONCE", 2)
    host = online(availability=Availability.CORDONED)
    for _ in range(3):
        make_job(host=host)
    assert (reasons.write(), reasons.write(), reasons.write()) == (2, 1, 0)


def test_a_queue_whose_host_takes_one_job_after_the_other_is_not_written_anew_at_each_look():
    host = online(max_concurrent_jobs=1)
    fill(host)
    new, old = make_job(host=host), waits_for_long(make_job(host=host))
    watch = reasons.ClaimWatch()
    assert reasons.write(watch) == 1
    old.refresh_from_db()
    assert old.pending_reason == "Host berlin is full (1 of 1 slots)"
    end(Attempt.objects.get())
    fill(host)
    assert reasons.write(watch) == 0
    new.refresh_from_db()
    assert new.pending_reason == ""


def test_when_nothing_is_taken_any_more_every_job_has_its_reason_at_the_next_look():
    host = online(max_concurrent_jobs=1)
    fill(host)
    pinned = make_job(host=host)
    watch = reasons.ClaimWatch()
    reasons.write(watch)
    DockerHost.objects.update(availability=Availability.CORDONED)
    reasons.write(watch)
    pinned.refresh_from_db()
    assert pinned.pending_reason == "Host berlin is cordoned"

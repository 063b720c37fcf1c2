"""Taking hosts and jobs, one worker at a time. See `test_claim_races` for many."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now

from hosts import leases
from hosts.errors import ContainerExecutionError, LeaseLost
from hosts.models import DockerHost, HostLease
from jobs import claims, moves, spec
from jobs.models import (
    Attempt,
    ContainerJob,
    ContainerTemplate,
    EnvironmentVariable,
    JobEvent,
    NetworkAssignment,
)
from jobs.states import AttemptState
from tests.jobs.attempts import INSTALLATION, WHO, claim, end, everything, make_attempt, row, take
from tests.support.factories import make_host, make_job, make_template

pytestmark = pytest.mark.django_db

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def host() -> DockerHost:
    return make_host()


def by_create(template: ContainerTemplate, host: DockerHost | None) -> None:
    ContainerJob.objects.create(template=template, docker_host=host)


def by_bulk_create(template: ContainerTemplate, host: DockerHost | None) -> None:
    ContainerJob.objects.bulk_create([ContainerJob(template=template, docker_host=host)])


def by_sql(template: ContainerTemplate, host: DockerHost | None) -> None:
    row = {"id": uuid.uuid4(), "template_id": template.id} | ({"docker_host_id": host.id} if host else {})
    keys = [ContainerJob._meta.pk.get_db_prep_value(value, connection) for value in row.values()]
    places = ", ".join(["%s"] * len(row))
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO jobs_containerjob ({', '.join(row)}) VALUES ({places})", keys)


@pytest.mark.parametrize("submit", [by_create, by_bulk_create, by_sql])
@pytest.mark.parametrize("is_pinned", [False, True], ids=["shared", "pinned"])
def test_a_bare_row_is_a_full_submission(host, submit, is_pinned):
    submit(make_template(command="true"), host if is_pinned else None)
    (attempt,) = claim(take(host), host)
    view = spec.thaw(attempt, template_secrets={}, job_secrets={})
    assert view.command == ("true",)
    assert end(attempt)
    assert ContainerJob.objects.get().status == "completed"


def test_a_claimed_job_has_an_open_attempt_with_everything_on_it(host):
    job = make_job(host=host, name="nightly")
    lease = take(host)
    (attempt,) = claim(lease, host)
    stored = Attempt.objects.get()
    assert stored.pk == attempt.pk
    assert (stored.job, stored.number, stored.state, stored.outcome) == (job, 1, "claimed", "")
    assert (stored.host, stored.host_name, stored.epoch) == (host, "host-a", lease.epoch)
    assert stored.container_name == f"tallyman-{INSTALLATION}-{job.id}"
    assert stored.spec["job_name"] == "nightly"
    job.refresh_from_db()
    assert (job.status, job.attempt_count, job.started_at) == ("starting", 1, None)
    event = JobEvent.objects.get()
    assert (event.kind, event.message, event.who) == ("claimed", "by host-a", WHO)


def test_a_job_is_claimed_once(host):
    make_job()
    lease = take(host)
    assert len(claim(lease, host)) == 1
    assert claim(lease, host) == []


def test_no_more_is_claimed_than_there_is_room_for(host):
    for _ in range(3):
        make_job()
    lease = take(host)
    assert [len(claim(lease, host, room=2)) for _ in range(3)] == [2, 1, 0]


@pytest.mark.parametrize("room", [0, -1])
def test_without_room_the_database_is_not_asked(host, room, django_assert_num_queries):
    make_job()
    lease = take(host)
    with django_assert_num_queries(0):
        assert claim(lease, host, room=room) == []


def test_jobs_of_another_host_are_left_to_it(host):
    make_job(host=make_host("host-b"))
    assert claim(take(host), host) == []


@pytest.mark.parametrize("status", ["starting", "running", "completed", "failed", "timeout", "cancelled"])
def test_only_pending_jobs_are_claimed(host, status):
    make_job(status=status, priority=1)
    pending = make_job()
    assert [attempt.job for attempt in claim(take(host), host)] == [pending]


@pytest.mark.parametrize("hold", ["stopped", "restart"])
def test_a_held_job_is_not_claimed(host, hold):
    make_job(hold=hold, priority=1)
    free = make_job()
    assert [attempt.job for attempt in claim(take(host), host)] == [free]


@pytest.mark.parametrize(("milliseconds", "count"), [(-1, 1), (0, 1), (60_000, 0)])
def test_a_job_that_waits_is_claimed_when_its_time_has_come(host, milliseconds, count):
    make_job(not_before_at=Now() + timedelta(milliseconds=milliseconds))
    assert len(claim(take(host), host)) == count


def test_the_next_attempt_starts_afresh(host):
    first = make_attempt(AttemptState.EXITED, host=host)
    ContainerJob.objects.update(started_at=LONG_AGO, pending_reason="Waits")
    end(first, "user", job_status="pending", retry_delay_seconds=0.0)
    (second,) = claim(take(host), host)
    assert second.number == 2
    job = ContainerJob.objects.get()
    assert (job.started_at, job.not_before_at, job.pending_reason) == (None, None, "")


@pytest.mark.parametrize("how", ["expired", "released", "taken over"])
def test_without_a_lease_nothing_is_claimed_and_nothing_changes(host, how):
    make_job()
    lease = take(host)
    if how == "released":
        leases.release(lease)
    else:
        HostLease.objects.update(expires_at=Now() - timedelta(milliseconds=1))
    if how == "taken over":
        take(host)
    before = everything()
    with pytest.raises(LeaseLost):
        claim(lease, host)
    assert everything() == before


def test_a_taken_hosts_open_attempts_are_the_new_holders(host):
    elsewhere = make_attempt(job=make_job(), host=make_host("host-b"), epoch=7)
    ended = make_attempt(AttemptState.ENDED, job=make_job(), host=host, outcome="user", epoch=7)
    mine = make_attempt(job=make_job(), host=host, epoch=7)
    lease = take(host)
    for attempt, epoch in ((elsewhere, 7), (ended, 7), (mine, lease.epoch)):
        attempt.refresh_from_db()
        assert attempt.epoch == epoch


def test_a_former_holder_writes_nothing_any_more(host):
    make_job()
    old = take(host)
    (attempt,) = claim(old, host)
    leases.release(old)
    take(host)
    assert not moves.to_running([row(attempt)])


def test_a_host_that_somebody_holds_is_not_taken_and_no_attempt_changes(host):
    take(host)
    attempt = make_attempt(host=host, epoch=1)
    before = everything()
    assert claims.take_host(host.id, who=leases.identity.current()) is None
    assert everything() == before
    assert attempt.epoch == 1


RUBBISH = [[], ["A"], 5, 0, True, "A=1", {"A": None}, {"A": ["x"]}, {"A": {}}, {"A B": "x"}, {"": "x"}]


@pytest.mark.parametrize("rubbish", RUBBISH, ids=repr)
@pytest.mark.parametrize("field", ["override_environment", "secret_environment"])
def test_a_bare_row_with_rubbish_is_claimed_and_refused_at_its_launch(host, field, rubbish):
    job = make_job(priority=1, **{field: rubbish})
    make_job()
    first, second = claim(take(host), host)
    assert first.job == job
    assert spec.thaw(second, template_secrets={}, job_secrets={})
    if rubbish or field == "override_environment":  # (an empty secret is stored as none)
        secrets = ContainerJob.objects.get(pk=job.pk).secret_environment
        with pytest.raises(ContainerExecutionError):
            spec.thaw(Attempt.objects.get(pk=first.pk), template_secrets={}, job_secrets=secrets)


@pytest.mark.parametrize(
    "broken",
    [{"command": "echo 'unclosed"}, {"retry_on": 5}, {"retry_on": {"a": 1}}, {"working_directory": "\t"}],
)
def test_a_broken_template_does_not_keep_the_jobs_behind_it_back(host, broken):
    make_job(make_template("broken"), priority=1)
    make_job(make_template("sound"))
    ContainerTemplate.objects.filter(name="broken").update(**broken)
    assert [attempt.spec["template_name"] for attempt in claim(take(host), host)] == ["broken", "sound"]


def test_broken_networks_do_not_keep_the_jobs_behind_them_back(host):
    broken = make_template("broken")
    NetworkAssignment.objects.create(template=broken, network_name="lan", aliases=5)
    make_job(broken, priority=1)
    make_job(make_template("sound"))
    assert len(claim(take(host), host)) == 2


def test_a_claim_writes_no_secret_anywhere(host):
    planted = "hunter2-planted-secret"
    template = make_template()
    EnvironmentVariable.objects.create(template=template, key="A", value=planted, is_secret=True)
    make_job(template, secret_environment={"B": planted})
    claim(take(host), host)
    assert Attempt.objects.get().spec["environment"] == {"A": {"template": "A"}, "B": {"job": "B"}}
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            assert planted not in repr(cursor.fetchall()), table

"""Rows that plain SQL, a lost key or a slip left as no form would: they harm themselves at most."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from django.db import connection

from hosts.errors import ConfigurationError
from hosts.models import DockerHost
from jobs import spec
from jobs.models import Attempt, ContainerJob, EnvironmentVariable
from jobs.states import AttemptState
from tests.jobs.attempts import claim, end, make_attempt, take
from tests.support.factories import make_host, make_job, make_template

pytestmark = pytest.mark.django_db


@pytest.fixture
def host() -> DockerHost:
    return make_host()


def set_by_sql(table: str, column: str, value: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET {column} = %s", [value])


def unreadable_variable(*, is_secret: bool) -> ContainerJob:
    template = make_template("broken")
    EnvironmentVariable.objects.create(template=template, key="TOKEN", value="x", is_secret=is_secret)
    set_by_sql("jobs_environmentvariable", "value", "f1:made with a key that is gone")
    return make_job(template)


def unreadable_job_secrets() -> ContainerJob:
    job = make_job(make_template("broken"), secret_environment={"TOKEN": "x"})
    set_by_sql("jobs_containerjob", "secret_environment", "no ciphertext at all")
    return job


@pytest.mark.parametrize(
    "make", [lambda: unreadable_variable(is_secret=False), unreadable_job_secrets], ids=["variable", "job"]
)
def test_a_secret_that_no_key_reads_spoils_its_own_job_only(
    host: DockerHost, make: Callable[[], ContainerJob]
) -> None:
    broken = make()
    good = make_job(make_template("good"))
    attempts = {attempt.job_id: attempt for attempt in claim(take(host), host)}
    assert set(attempts) == {broken.pk, good.pk}
    spec.thaw(attempts[good.pk], template_secrets={}, job_secrets={})
    with pytest.raises(ConfigurationError, match=r"TOKEN|secret variables"):
        spec.thaw(attempts[broken.pk], template_secrets={}, job_secrets={})


def test_a_secret_variable_is_not_decrypted_to_claim(host: DockerHost) -> None:
    unreadable_variable(is_secret=True)
    (attempt,) = claim(take(host), host)
    assert attempt.spec["environment"] == {"TOKEN": {"template": "TOKEN"}}


def test_an_ended_job_that_sql_made_pending_again_runs_once_more(host: DockerHost) -> None:
    job, lease = make_job(), take(host)
    (first,) = claim(lease, host)
    assert end(first)
    ContainerJob.objects.filter(pk=job.pk).update(status="pending", attempt_count=0)
    (second,) = claim(lease, host)
    assert (first.number, second.number) == (1, 2)


def test_a_job_that_sql_made_pending_while_it_runs_is_not_run_beside_itself(host: DockerHost) -> None:
    attempt = make_attempt(AttemptState.RUNNING, host=host)
    ContainerJob.objects.filter(pk=attempt.job_id).update(status="pending")
    behind = make_job(make_template("behind"))
    assert [one.job_id for one in claim(take(host), host)] == [behind.pk]


@pytest.mark.sqlite_only
def test_an_id_with_dashes_is_as_good_as_one_without(host: DockerHost) -> None:
    template, job_id = make_template(), uuid.uuid4()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO jobs_containerjob (id, template_id) VALUES (%s, %s)", [str(job_id), template.pk.hex]
        )
    (attempt,) = claim(take(host), host)
    assert attempt.job_id == job_id
    assert Attempt.objects.get().job.status == "starting"

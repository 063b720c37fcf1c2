"""What templates and jobs may be: said by full_clean to people, and by the database to everybody else."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import ProtectedError

from jobs.models import (
    ContainerJob,
    ContainerTemplate,
    EnvironmentVariable,
    LogChunk,
    NetworkAssignment,
    Tally,
)
from jobs.states import AttemptState
from tests.jobs.attempts import make_attempt
from tests.support.factories import make_host, make_job, make_template

pytestmark = pytest.mark.django_db

LIMITS = [
    ("memory_limit", 0),
    ("memory_limit", 63),
    ("cpu_limit", Decimal("0.09")),
    ("cpu_limit", Decimal("32.01")),
    ("timeout_seconds", 0),
    ("stop_grace_seconds", 3601),
    ("max_attempts", 0),
    ("max_attempts", 101),
    ("docker_image", ""),
]
ALLOWED = [
    ("memory_limit", None),
    ("memory_limit", 64),
    ("cpu_limit", None),
    ("cpu_limit", Decimal("0.1")),
    ("cpu_limit", Decimal("32")),
    ("timeout_seconds", 1),
    ("stop_grace_seconds", 0),
    ("stop_grace_seconds", 3600),
    ("max_attempts", 1),
    ("max_attempts", 100),
]


def refused_by_the_database():
    return pytest.raises(IntegrityError)


@pytest.mark.parametrize(("field", "value"), LIMITS)
def test_a_value_beyond_a_limit_is_explained(field, value):
    with pytest.raises(ValidationError) as caught:
        ContainerTemplate(**{"name": "t", "docker_image": "app", field: value}).full_clean()
    assert list(caught.value.message_dict) == [field]


@pytest.mark.parametrize(("field", "value"), [*LIMITS, ("timeout_seconds", -1), ("stop_grace_seconds", -1)])
def test_a_value_beyond_a_limit_does_not_get_past_the_database(field, value):
    with refused_by_the_database(), transaction.atomic():
        make_template(**{field: value})
    there = make_template()
    with refused_by_the_database(), transaction.atomic():
        ContainerTemplate.objects.filter(pk=there.pk).update(**{field: value})


@pytest.mark.parametrize(("field", "value"), ALLOWED)
def test_the_limits_themselves_are_allowed(field, value):
    ContainerTemplate(**{"name": "t", "docker_image": "app", field: value}).full_clean()
    make_template(**{field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("command", "echo 'unclosed"),
        ("docker_image", "a\x00b"),
        ("working_directory", "a\x00b"),
        ("retry_on", ["rejected"]),
        ("retry_on", "user"),
    ],
)
def test_a_template_that_could_not_run_is_explained(field, value):
    with pytest.raises(ValidationError) as caught:
        ContainerTemplate(**{"name": "t", "docker_image": "app", field: value}).full_clean()
    assert list(caught.value.message_dict) == [field]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("override_command", "echo 'unclosed"),
        ("override_image", "a\x00b"),
        ("override_environment", ["A"]),
        ("override_environment", {"TALLYMAN_JOB_ID": "1"}),
        pytest.param("priority", 40_000, marks=pytest.mark.postgres_only),
    ],
)
def test_a_job_that_could_not_run_is_explained(field, value):
    with pytest.raises(ValidationError) as caught:
        ContainerJob(**{"template": make_template(), field: value}).full_clean()
    assert field in caught.value.message_dict


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (EnvironmentVariable, {"key": "A"}),
        (NetworkAssignment, {"network_name": "lan"}),
    ],
)
def test_a_template_names_each_part_once(model, fields):
    template = make_template()
    model.objects.create(template=template, **fields)
    with refused_by_the_database(), transaction.atomic():
        model.objects.create(template=template, **fields)


def test_two_templates_cannot_have_one_name():
    make_template("same")
    with refused_by_the_database():
        make_template("same")


def test_a_job_cannot_be_in_a_status_that_there_is_not():
    job = make_job()
    with pytest.raises(DatabaseError):
        ContainerJob.objects.filter(pk=job.pk).update(status="paused")


def test_a_job_has_one_open_attempt_at_most():
    attempt = make_attempt()
    with refused_by_the_database():
        make_attempt(job=attempt.job)


def test_a_job_numbers_each_attempt_once():
    attempt = make_attempt(AttemptState.ENDED, outcome="user")
    ContainerJob.objects.update(attempt_count=0)
    attempt.job.refresh_from_db()
    with refused_by_the_database():
        make_attempt(job=attempt.job)


@pytest.mark.parametrize(
    ("state", "outcome"),
    [(AttemptState.ENDED, ""), (AttemptState.RUNNING, "user"), (AttemptState.EXITED, "lost")],
)
def test_an_attempt_has_an_outcome_exactly_when_it_has_ended(state, outcome):
    with refused_by_the_database():
        make_attempt(state, outcome=outcome)


def test_a_log_numbers_each_chunk_once():
    now, zero = datetime.now(UTC), dict.fromkeys(("stdout_bytes_before", "stderr_bytes_before"), 0)
    zero |= dict.fromkeys(("stdout_lines_before", "stderr_lines_before"), 0)
    chunk = {
        "attempt": make_attempt(),
        "seq": 0,
        "data": b"",
        "first_at": now,
        "last_at": now,
        "raw_bytes": 0,
    }
    LogChunk.objects.create(**chunk, **zero)
    with refused_by_the_database():
        LogChunk.objects.create(**chunk, **zero)


def test_a_minute_is_counted_in_one_row():
    numbers = {
        field.name: 0 for field in Tally._meta.concrete_fields if not (field.primary_key or field.max_length)
    }
    same = {**numbers, "minute": datetime.now(UTC), "host_name": "h", "template_name": "t", "outcome": "user"}
    Tally.objects.create(**same)
    with refused_by_the_database():
        Tally.objects.create(**same)


def test_history_keeps_its_template_and_host():
    job = make_job(host=make_host())
    for kept in (job.template, job.docker_host):
        with pytest.raises(ProtectedError):
            kept.delete()


@pytest.mark.parametrize(
    ("status", "words"), [("pending", "pending"), ("running", "open"), ("failed", "ended")]
)
def test_a_job_is_pending_or_open_or_ended(status, words):
    make_job(status=status)
    found = [word for word in ("pending", "open", "ended") if getattr(ContainerJob.objects, word)().exists()]
    assert found == [words]

"""Acts: one row for what somebody asked for, whatever came of it."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import OperationalError

from audit import acts
from audit.models import AuditEvent
from hosts import operations
from hosts.models import DockerHost
from hosts.operations import HostRefused
from jobs import operations as job_operations
from jobs.models import ContainerJob
from jobs.operations import Refused
from tests.audit.rows import newest, only, since
from tests.support.factories import make_host, make_job

pytestmark = pytest.mark.django_db


def test_an_act_says_what_was_before_and_after():
    host = make_host("berlin")
    operations.cordon(host.pk)
    row = only("host.cordon")
    assert (row.object_kind, row.object_key, row.object_label) == ("host", str(host.pk), "berlin")
    assert row.outcome == "done"
    assert row.said["before"] == {"availability": "active"}
    assert row.said["after"] == {"availability": "cordoned"}


def test_what_is_refused_leaves_a_row_with_the_reason_and_no_change():
    host = make_host()
    with pytest.raises(HostRefused):
        operations.set_weight(host.pk, 0)
    row = only("host.set_weight")
    assert row.outcome == "refused"
    assert "1" in row.said["reason"]
    assert "after" not in row.said
    assert DockerHost.objects.get().weight == 100


@pytest.mark.parametrize(
    ("error", "outcome", "reason"),
    [
        (ValidationError(["one", "two"]), "refused", "one two"),
        (PermissionDenied("not yours"), "denied", "not yours"),
        (KeyError("secret"), "failed", "KeyError"),
    ],
)
def test_every_way_to_fail_is_told_apart(error, outcome, reason):
    def fail() -> None:
        with acts.act("thing.do"):
            User.objects.create_user("half done")
            raise error

    with pytest.raises(type(error)):
        fail()
    row = only("thing.do")
    assert (row.outcome, row.said["reason"]) == (outcome, reason)
    assert not User.objects.exists()
    assert AuditEvent.objects.count() == 1


def test_a_busy_database_leaves_no_row():
    def fail() -> None:
        with acts.act("thing.do"):
            raise OperationalError("busy")

    with pytest.raises(OperationalError):
        fail()
    assert not AuditEvent.objects.exists()


def test_an_act_within_an_act_is_part_of_it():
    job = make_job()
    ContainerJob.objects.filter(pk=job.pk).update(status="running")
    job_operations.stop(job.pk, who="ann")  # which cancels it
    assert [row.verb for row in AuditEvent.objects.all()] == ["job.stop"]


def test_a_restart_tells_of_both_jobs():
    job = make_job()
    new = job_operations.restart(job.pk, who="ann")
    assert only("job.restart").object_key == str(job.pk)
    assert only("job.restart").said["says"]["new_job"] == str(new.pk)
    assert only("job.submit").object_key == str(new.pk)
    assert only("job.submit").said["says"]["restart_of"] == str(job.pk)


def test_each_of_many_jobs_has_a_row_of_its_own_also_the_one_that_refuses():
    """One row each: it is in the transaction of its job's act, and the job's own history is whole."""
    jobs = [make_job() for _ in range(3)]
    ContainerJob.objects.filter(pk=jobs[1].pk).update(status="completed")
    before = newest()
    for job in jobs:
        try:
            job_operations.cancel(job.pk, who="ann")
        except Refused:
            continue
    assert [(row.object_key, row.outcome) for row in since(before)] == [
        (str(jobs[0].pk), "done"),
        (str(jobs[1].pk), "refused"),
        (str(jobs[2].pk), "done"),
    ]


def test_no_value_of_a_variable_a_command_or_a_secret_is_kept():
    planted = "5up3r-53cr3t"
    template = make_job().template
    job_operations.submit(
        template,
        name="nightly",
        command=f"run {planted}",
        environment={"A": planted},
        secret_environment={"B": planted},
        who="ann",
    )
    host = make_host("aws", executor_type="fargate", connection_string="")
    operations.set_secret(host.pk, "aws_secret_access_key", planted)
    docker = make_host()
    operations.set_registry_login(docker.pk, "docker.io", username="ann", password=planted)
    operations.set_policy(docker.pk, {"images": ["team/**"]})
    text = "".join(row.details for row in AuditEvent.objects.all())
    assert planted not in text
    assert only("job.submit").said["says"]["variables"] == ["A", "B"]
    assert only("host.set_secret").said["says"] == {"key": "aws_secret_access_key"}
    assert only("host.set_registry_login").said["says"] == {"registry": "docker.io", "username": "ann"}
    assert only("host.set_policy").said["after"] == {"policy": {"images": ["team/**"]}}

"""A supervisor with the wrong key: jobs with secrets are tried again, and run once the key is right."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet

from hosts.models import DockerHost, HostLease, HostState
from jobs.models import Attempt, ContainerJob, ContainerTemplate, EnvironmentVariable
from tests.supervisor.working import work
from tests.support import supervising
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.process, pytest.mark.sqlite_only, pytest.mark.django_db(transaction=True)]


def test_a_wrong_key_costs_a_try_and_the_right_one_mends_it(database_url: str, tmp_path) -> None:
    config = {"root": str(tmp_path / "jobs")}
    DockerHost.objects.create(name="here", executor_type="process", executor_config=config)
    template = ContainerTemplate.objects.create(
        name="t", docker_image="none", command="sh -c 'echo $PASSWORD'", infra_retries=1
    )
    EnvironmentVariable.objects.create(template=template, key="PASSWORD", value="hunter2", is_secret=True)
    ContainerJob.objects.create(template=template)

    other_key = Fernet.generate_key().decode()
    work("--once", database_url=database_url, TALLYMAN_SECRET_KEYS=other_key)

    first = Attempt.objects.get()
    assert (first.outcome, first.failure_class) == ("infra", "secrets_unreadable")
    assert "TALLYMAN_SECRET_KEYS" in first.failure_hint
    job = ContainerJob.objects.get()
    assert job.status == "pending"
    ContainerJob.objects.update(not_before_at=None)

    work("--once", database_url=database_url)

    job.refresh_from_db()
    assert (job.status, job.execution.stdout) == ("completed", "hunter2\n")


@pytest.fixture
def locked_host(transactional_db: None) -> DockerHost:
    """A host whose registry logins were encrypted with a key that nobody has any more."""
    logins = {"registries": {"example.org": {"username": "u", "password": "p"}}}
    return DockerHost.objects.create(name="locked", connection_string="unix:///nowhere", secret_config=logins)


def test_a_host_whose_logins_cannot_be_read_is_parked_and_the_others_work(
    locked_host: DockerHost, other_host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    job = ContainerJob.objects.create(template=template)
    other_key = Fernet.generate_key().decode()
    code, log = work("--once", database_url=database_url, TALLYMAN_SECRET_KEYS=other_key)
    assert (code, "Traceback" in log) == (0, False)
    job.refresh_from_db()
    assert job.status == "completed"
    assert_parked(locked_host)


def test_the_worker_of_a_host_whose_logins_cannot_be_read_waits_for_its_row_to_change(
    locked_host: DockerHost, other_host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    other_key = Fernet.generate_key().decode()
    with supervising.running(
        "supervise", "--poll-interval", "0.2", database_url=database_url, TALLYMAN_SECRET_KEYS=other_key
    ) as command:
        wait_until(lambda: HostLease.objects.filter(host=locked_host).exists(), 20, "the host to be taken")
        wait_until(lambda: "exit code 78" in command.log, 20, "its worker to give up")
        assert_parked(locked_host)
        # A running worker whose host gets such a login gives up in the same way.
        held = HostLease.objects.filter(host=other_host, owner__isnull=False, released_at=None)
        wait_until(held.exists, 20, "the other host to be taken")
        other_host.secret_config = {"registries": {}}
        other_host.save()
        wait_until(lambda: command.log.count("exit code 78") == 2, 20, "the other worker to give up")
        assert_parked(other_host)
        assert "Traceback" not in command.log


def assert_parked(host: DockerHost) -> None:
    row = DockerHost.objects.values("state", "state_reason").get(pk=host.pk)
    assert row["state"] == HostState.PARKED
    assert "TALLYMAN_SECRET_KEYS" in row["state_reason"]

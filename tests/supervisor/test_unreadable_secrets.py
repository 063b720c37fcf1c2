"""A supervisor with the wrong key: jobs with secrets are tried again, and run once the key is right."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet

from hosts.models import DockerHost
from jobs.models import Attempt, ContainerJob, ContainerTemplate, EnvironmentVariable
from tests.supervisor.working import work

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

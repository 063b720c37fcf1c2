"""Secrets that a worker reads from a store when it launches a job, with the store there, away, and wrong."""

from __future__ import annotations

import pytest

from hosts.models import DockerHost
from jobs import operations
from jobs.models import Attempt, ContainerJob, ContainerTemplate, EnvironmentVariable
from tests.supervisor.working import work
from tests.support import vault

pytestmark = [pytest.mark.process, pytest.mark.sqlite_only, pytest.mark.django_db(transaction=True)]

SECRET = "hunter2-planted-secret"


@pytest.fixture
def template(transactional_db: None, tmp_path) -> ContainerTemplate:
    """One whose jobs print a secret of a store backwards, so that it is not what a log shows."""
    config = {"root": str(tmp_path / "jobs")}
    DockerHost.objects.create(name="here", executor_type="process", executor_config=config)
    made = ContainerTemplate.objects.create(
        name="t", docker_image="none", command="sh -c 'echo $PASSWORD | rev'", infra_retries=1
    )
    reference = "vault:secret/app/db#password"
    EnvironmentVariable.objects.create(template=made, key="PASSWORD", reference=reference)
    return made


def settings_of(server: vault.Vault) -> dict[str, str]:
    return {"TALLYMAN_VAULT_ADDR": server.url, "TALLYMAN_VAULT_TOKEN": "hvs.root"}


def test_a_store_that_is_away_costs_a_try_and_one_that_is_there_gives_the_secret(
    template: ContainerTemplate, database_url: str
) -> None:
    job = operations.submit(template)
    with vault.serving() as server:
        server.v2["secret/app/db"] = [{"password": SECRET}]
        server.sealed = True
        _, log = work("--once", database_url=database_url, **settings_of(server))
        first = Attempt.objects.get()
        assert (first.outcome, first.failure_class) == ("infra", "secret_store")
        assert "vault:secret/app/db#password" in first.failure_message
        job.refresh_from_db()
        assert job.status == "pending"
        ContainerJob.objects.update(not_before_at=None)

        server.sealed = False
        code, more = work("--once", database_url=database_url, **settings_of(server))
    job.refresh_from_db()
    assert (code, job.status, job.execution.stdout) == (0, "completed", f"{SECRET[::-1]}\n")
    assert SECRET not in log + more
    assert all(SECRET not in repr(row) for row in Attempt.objects.values())


def test_a_secret_that_is_not_there_is_a_refusal_that_names_the_reference(
    template: ContainerTemplate, database_url: str
) -> None:
    job = operations.submit(template, environment={"OTHER": {"reference": "env:SECRET_KEY"}})
    with vault.serving() as server:
        work("--once", database_url=database_url, **settings_of(server))
    job.refresh_from_db()
    assert (job.status, job.failure_class, job.attempt_count) == ("failed", "secret_missing", 1)
    assert "PASSWORD" in job.failure_message or "OTHER" in job.failure_message
    assert job.started_at is None


def test_a_store_that_hangs_holds_up_no_other_job(template: ContainerTemplate, database_url: str) -> None:
    import threading

    ContainerTemplate.objects.update(infra_retries=0)
    plain = ContainerTemplate.objects.create(name="plain", docker_image="none", command="echo fine")
    with vault.serving() as server:
        server.hangs = threading.Event()
        waiting = [operations.submit(template) for _ in range(3)]
        other = operations.submit(plain)
        patience = {"TALLYMAN_VAULT_TIMEOUT_SECONDS": "1"}
        work("--once", database_url=database_url, **settings_of(server), **patience)
    other.refresh_from_db()
    ended = Attempt.objects.filter(job__in=waiting).order_by("ended_at").first()
    assert other.status == "completed"
    assert ended is not None
    assert other.completed_at < ended.ended_at

"""What docs/operations.md says to do after a restore, done."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import call_command

from hosts.models import DockerHost
from jobs import operations
from jobs.models import Attempt, ContainerExecution, ContainerJob, ContainerTemplate, JobEvent
from tests.support import supervising
from tests.support.supervising import wait_for_status
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]


def _host(name: str, tmp_path: Path) -> DockerHost:
    return DockerHost.objects.create(
        name=name, executor_type="process", executor_config={"root": str(tmp_path / name)}
    )


def _restore_what_it_was_before(job: ContainerJob) -> None:
    for model in (JobEvent, ContainerExecution, Attempt):
        model.objects.filter(job=job).delete()
    ContainerJob.objects.filter(pk=job.pk).update(
        status="pending", attempt_count=0, started_at=None, completed_at=None, exit_code=None
    )


@pytest.mark.parametrize("ends_before", [True, False], ids=["harvested", "adopted"])
def test_a_job_that_is_older_than_its_container_is_taken_from_it_and_never_runs_again(
    tmp_path: Path, database_url: str, ends_before: bool
) -> None:
    runs, goes_on = tmp_path / "runs", tmp_path / "goes-on"
    script = f"echo ran >> {runs}; while [ ! -e {goes_on} ]; do sleep 0.1; done; exit 5"
    template = ContainerTemplate.objects.create(name="t", docker_image="-", command=f"sh -c '{script}'")
    _host("one", tmp_path)
    with supervising.running("supervise", database_url=database_url):
        job = operations.submit(template)
        wait_for_status(job, "running")
        wait_until(runs.exists, what="the job to run")
    if ends_before:
        goes_on.touch()
    _restore_what_it_was_before(job)
    _host("two", tmp_path)
    DockerHost.objects.filter(name="two").update(weight=1000)

    call_command("supervisor", "pause", "--all")
    with supervising.running("supervise", "--reap=report", database_url=database_url):
        wait_until(lambda: DockerHost.objects.get(name="one").orphans, 30, "the container to be reported")
        pinned = ContainerJob.objects.filter(pk=job.pk, docker_host__name="one")
        wait_until(pinned.exists, 10, "the job to be sent to where its container is")
        call_command("supervisor", "resume", "--all")
        wait_for_status(job, "failed" if ends_before else "running")
        goes_on.touch()
        wait_for_status(job, "failed")
    job.refresh_from_db()
    assert (job.exit_code, job.attempts.get().host_name) == (5, "one")
    assert runs.read_text() == "ran\n"

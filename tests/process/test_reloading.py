"""HUP after a deployment or an edit of the settings, and workers that give way: nothing is interrupted."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import psutil
import pytest

from hosts.models import DockerHost, HostLease
from jobs import operations
from jobs.models import Attempt, ContainerTemplate
from supervisor.models import Role, SupervisorProcess
from tests.support import supervising
from tests.support.supervising import ROOT, wait_for_status, wait_for_workers
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

POLL = ("supervise", "--poll-interval", "1")
PACKAGES = ("admin_ui", "audit", "config", "healthcheck", "hosts", "jobs", "supervisor")


def release(folder: Path, *, start: str) -> Path:
    """The code as it is, but for what it logs when it starts."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "manage.py", folder)
    master = folder / "supervisor" / "master.py"
    master.write_text(master.read_text().replace('"supervisor starts"', start))
    return folder


def switch(link: Path, target: Path) -> None:
    link.with_suffix(".new").symlink_to(target)
    link.with_suffix(".new").rename(link)


def test_hup_after_a_deployment_starts_the_new_code_under_the_same_pid(
    process_host: DockerHost, template: ContainerTemplate, database_url: str, tmp_path: Path
) -> None:
    one = release(tmp_path / "one", start='"one starts"')
    two = release(tmp_path / "two", start='"two starts"')
    broken = release(tmp_path / "broken", start='"broken" starts"')
    current = tmp_path / "current"
    switch(current, one)
    with supervising.running(*POLL, database_url=database_url, root=current) as command:
        job = operations.submit(template, command="sh -c 'echo one; sleep 6; echo two'")
        wait_for_status(job, "running")
        created = psutil.Process(command.process.pid).create_time()
        switch(current, broken)
        command.signal(signal.SIGHUP)
        wait_until(lambda: "the old ones go on" in command.log, timeout_seconds=20, what="the refusal")
        assert "SyntaxError" in command.log
        assert HostLease.objects.get().epoch == 1, "the worker was left alone"
        switch(current, two)
        command.signal(signal.SIGHUP)
        wait_until(lambda: "two starts" in command.log, timeout_seconds=20, what="the new code to start")
        wait_until(HostLease.objects.filter(epoch=2, released_at=None).exists, timeout_seconds=20)
        assert psutil.Process(command.process.pid).create_time() == created
        wait_for_status(job, "completed")
        assert (job.execution.stdout, job.attempts.count()) == ("one\ntwo\n", 1)
        assert command.stop() == 0


@pytest.mark.postgres_only  # nothing of it depends on the database
def test_hup_takes_settings_from_their_file_anew_and_a_term_meanwhile_is_obeyed(
    process_host: DockerHost, database_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "env"
    file.write_text("LOG_FORMAT=console\nSOMETHING_ELSE=1\n")
    with supervising.running(*POLL, database_url=database_url, TALLYMAN_ENV_FILE=str(file)) as command:
        wait_for_workers(1)
        command.signal(signal.SIGHUP)
        wait_until(lambda: "nothing has changed" in command.log, what="the answer to the first HUP")
        file.write_text("LOG_FORMAT=json\n")
        command.signal(signal.SIGHUP)
        started = '"event": "supervisor starts"'
        wait_until(lambda: started in command.log, timeout_seconds=20, what="lines of JSON")
        wait_for_workers(1)
        file.write_text("LOG_FORMAT=console\n")
        command.signal(signal.SIGHUP)
        wait_until(lambda: "supervisor starts anew" in command.log, timeout_seconds=20)
        command.signal(signal.SIGTERM)
        assert command.process.wait(8) == 0
    assert not SupervisorProcess.objects.exists()


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ({"TALLYMAN_WORKER_MAX_AGE_SECONDS": "3"}, "s old"),
        ({"TALLYMAN_WORKER_MAX_JOBS": "1"}, "has claimed 1 jobs"),
        ({"TALLYMAN_WORKER_MAX_MEMORY_BYTES": "1"}, "bytes of memory"),
    ],
    ids=["age", "jobs", "memory"],
)
@pytest.mark.postgres_only  # nothing of it depends on the database
def test_a_worn_worker_gives_way_and_its_job_runs_on(
    process_host: DockerHost,
    template: ContainerTemplate,
    database_url: str,
    limit: dict[str, str],
    reason: str,
) -> None:
    with supervising.running(*POLL, database_url=database_url, **limit) as command:
        job = operations.submit(template, command="sh -c 'echo one; sleep 2; echo two'")
        wait_until(lambda: HostLease.objects.filter(epoch__gte=2).exists(), timeout_seconds=30)
        assert reason in command.log
        wait_for_status(job, "completed")
        assert (job.execution.stdout, Attempt.objects.count()) == ("one\ntwo\n", 1)
        assert not SupervisorProcess.objects.filter(role=Role.WORKER, failing_since_at__isnull=False).exists()

"""The supervisor as a user runs it: by honcho, from the project's own Procfile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from hosts.models import DockerHost, HostLease
from jobs import operations
from jobs.models import Attempt, ContainerTemplate
from supervisor.models import SupervisorProcess
from tests.support import supervising
from tests.support.supervising import ROOT, wait_for_status
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

HONCHOS_PATIENCE_SECONDS = 5


@pytest.fixture
def honcho(process_host: DockerHost, database_url: str, tmp_path: Path) -> Iterator[subprocess.Popen]:
    """`honcho start supervisor` in the project's folder; its log is printed at the end."""
    python = Path(sys.executable).parent
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "honcho", "start", "supervisor"],
            env={**os.environ, "DATABASE_URL": database_url, "PATH": f"{python}:{os.environ['PATH']}"},
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
        )
    try:
        yield process
    finally:
        tree = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.kill()
        for one in tree:
            one.kill()
        process.wait(10)
        print((tmp_path / "log").read_text())


def works(process: psutil.Process) -> bool:
    """Whether the process has not ended; nobody may reap it, once honcho is gone."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_under_honcho_it_ends_by_itself_in_time_and_its_job_runs_on(
    honcho: subprocess.Popen,
    template: ContainerTemplate,
    database_url: str,
    tmp_path: Path,
    number: signal.Signals,
) -> None:
    job = operations.submit(template, command="sh -c 'echo one; sleep 8; echo two'")
    wait_for_status(job, "running")
    tree = psutil.Process(honcho.pid).children(recursive=True)
    before = time.monotonic()
    honcho.send_signal(number)
    honcho.wait(10)
    wait_until(lambda: not any(map(works, tree)), what="the supervisor to end")
    assert time.monotonic() - before < HONCHOS_PATIENCE_SECONDS
    log = (tmp_path / "log").read_text()
    assert "SIGKILL" not in log, "honcho had to use force"
    assert HostLease.objects.get().released_at is not None
    assert not SupervisorProcess.objects.exists()
    assert Attempt.objects.get().state == "running"
    with supervising.running("process_container_jobs", "--once", database_url=database_url) as once:
        assert once.process.wait(30) == 0
    job.refresh_from_db()
    assert (job.status, job.execution.stdout) == ("completed", "one\ntwo\n")

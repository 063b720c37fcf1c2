"""A machine that sleeps, or a supervisor that is stopped as a whole, and goes on much later."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from hosts.models import DockerHost
from supervisor.models import Role, SupervisorProcess
from tests.support import supervising
from tests.support.supervising import wait_for_workers
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.process, pytest.mark.postgres_only, pytest.mark.django_db(transaction=True)]


@pytest.mark.soak
def test_a_supervisor_that_slept_as_a_whole_goes_on_with_the_processes_it_has(
    database_url: str, tmp_path: Path
) -> None:
    config = {"root": str(tmp_path / "jobs")}
    DockerHost.objects.create(name="here", executor_type="process", executor_config=config)
    with supervising.running("supervise", database_url=database_url) as command:
        wait_for_workers(1)
        tree = command.tree
        for process in tree:
            process.send_signal(signal.SIGSTOP)
        time.sleep(32)  # longer than the master waits for a sign of life
        for process in tree:  # the master first
            process.send_signal(signal.SIGCONT)
        beats = SupervisorProcess.objects.filter(role=Role.MASTER)
        before = beats.get().heartbeat_at
        wait_until(lambda: beats.get().heartbeat_at > before, timeout_seconds=10, what="another beat")
        assert "stuck" not in command.log
        assert {process.pid for process in command.tree} == {process.pid for process in tree}

"""The database goes away, hangs, is full or locked while jobs run: nobody dies, and everything is written."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from jobs import operations
from jobs.logs import stream_bytes
from jobs.models import Attempt, ContainerJob
from supervisor.models import Role, SupervisorProcess
from tests.faults.conftest import make_process_host, make_template
from tests.support import supervising
from tests.support.postgres import PostgresServer
from tests.support.supervising import wait_for_status, wait_for_workers
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.process, pytest.mark.postgres, pytest.mark.django_db(transaction=True)]


@dataclass
class Counting:
    """A job that counts aloud until it is told to end, and marks each of its runs in a file."""

    job: ContainerJob
    runs: Path
    stop: Path
    said: Path

    @classmethod
    def begin(cls, template, marks: Path, name: str = "one") -> Counting:
        """Submit it, and wait until it has said something that is stored."""
        runs, stop, said = (marks / f"{name}.{what}" for what in ("runs", "stop", "said"))
        script = (
            f"echo run >> {runs}; n=0; while [ ! -e {stop} ]; do n=$((n+1)); echo line $n; "
            f"echo line $n >> {said}; sleep 0.1; done; echo end; echo end >> {said}; exit 3"
        )
        job = operations.submit(template, command=f'sh -c "{script}"')
        counting = cls(job, runs, stop, said)
        wait_until(lambda: Attempt.objects.filter(job=job, next_seq__gt=0).exists(), 20, "a stored line")
        return counting

    def check(self) -> None:
        """It ran once, ended as it wanted, and every byte it wrote is stored."""
        self.job.refresh_from_db()
        assert (self.job.status, self.job.exit_code) == ("failed", 3)
        assert self.runs.read_text() == "run\n"
        attempt = Attempt.objects.get(job=self.job)
        assert attempt.logs_complete
        assert b"".join(stream_bytes(attempt.id, 1)) == self.said.read_bytes()


def worker_pid() -> int:
    return SupervisorProcess.objects.get(role=Role.WORKER).pid


@pytest.mark.postgres_only
def test_a_frozen_server_is_survived_and_everything_is_written_when_it_thaws(
    server: PostgresServer, own_url: str, tmp_path: Path, marks: Path
) -> None:
    make_process_host(tmp_path)
    template = make_template()
    with supervising.running("supervise", database_url=own_url) as command:
        wait_for_workers(1)
        pid, job = worker_pid(), Counting.begin(template, marks)
        server.pause()
        began = time.monotonic()
        wait_until(lambda: "its connection is cut" in command.log, 15, "the watchdog")
        job.stop.touch()
        wait_until(lambda: time.monotonic() - began > 14, 20)
        server.resume()
        wait_for_status(job.job, "failed")
        print(command.log)
        assert worker_pid() == pid
        assert "crash" not in command.log
    job.check()

"""A worker may be killed at any moment of a launch: the next one neither loses the job nor runs it twice."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from hosts.errors import ContainerBusy, DockerConnectionError
from hosts.executors.contract import JobView, Observation
from hosts.executors.process import ProcessExecutor
from tests.hosts.process.support import Bench, job_view, shell
from tests.support.waiting import wait_until

pytestmark = pytest.mark.process

ROUNDS = 20
A_LAUNCH_TAKES_SECONDS = 0.12


def launch(executor: ProcessExecutor, job: JobView) -> None:
    executor.start(executor.create(job).container_id)


def launch_and_be_killed(executor: ProcessExecutor, job: JobView, *, after_seconds: float) -> None:
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            launch(executor, job)
        os._exit(0)
    deadline = time.monotonic() + after_seconds
    while time.monotonic() < deadline:
        pass
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def take_over(executor: ProcessExecutor, job: JobView) -> Observation | None:
    """One turn of the next worker; the job once it ended."""
    seen = executor.observe(job.container_name)
    with contextlib.suppress(ContainerBusy, DockerConnectionError):
        if seen is not None and seen.state == "created":
            executor.remove(seen.container_id)
            seen = None
        if seen is None:
            launch(executor, job)
    return seen if seen and seen.state == "exited" else None


def test_a_job_runs_exactly_once_whenever_its_starter_is_killed(bench: Bench, tmp_path: Path) -> None:
    chance = random.Random()
    bench.executor.check()

    for turn in range(ROUNDS):
        tally = tmp_path / f"tally-{turn}"
        job = job_view(shell(f"echo ran >> {tally}"))
        launch_and_be_killed(bench.executor, job, after_seconds=chance.uniform(0, A_LAUNCH_TAKES_SECONDS))
        ended = wait_until(partial(take_over, bench.another_executor(), job), what="the end of the job")

        assert ended is not None
        assert tally.read_text() == "ran\n", f"round {turn}"
        assert ended.exit_code == 0

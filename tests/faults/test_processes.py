"""Processes that are restarted, signalled and orphaned without end: nothing piles up, nothing is lost."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from django.db import connection

from hosts.models import DockerHost, HostLease
from jobs.models import Attempt, ContainerJob, ContainerTemplate
from supervisor.worker import sampler
from supervisor.worker.engine import PULL_THREADS, START_THREADS, STEP_THREADS
from tests.faults.soak import RESTARTS
from tests.support import supervising
from tests.support.requirements import missing
from tests.support.supervising import ROOT, Command, wait_for_all_ended, wait_for_workers
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.process, pytest.mark.postgres_only, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def host(tmp_path: Path, transactional_db: None) -> DockerHost:
    """A host that runs jobs as plain processes of this machine."""
    return DockerHost.objects.create(
        name="here",
        executor_type="process",
        executor_config={"root": str(tmp_path / "jobs")},
        max_concurrent_jobs=20,
    )


@pytest.fixture
def template(transactional_db: None) -> ContainerTemplate:
    return ContainerTemplate.objects.create(
        name="t", docker_image="none", command="true", timeout_seconds=60, stop_grace_seconds=1
    )


def holder(host: DockerHost, after: int = 0) -> psutil.Process:
    """The worker that holds the host with an epoch higher than `after`, ready."""
    taken = HostLease.objects.filter(host=host, epoch__gt=after, released_at=None, owner__isnull=False)
    wait_until(taken.exists, timeout_seconds=20, what=f"the host to be taken after epoch {after}")
    return psutil.Process(taken.get().pid)


def jobs_that_say(template: ContainerTemplate, script: str, count: int) -> list[ContainerJob]:
    return ContainerJob.objects.bulk_create(
        ContainerJob(template=template, override_command=f"sh -c '{script}'") for _ in range(count)
    )


@pytest.mark.parametrize(
    ("signals", "to_worker"),
    [([signal.SIGTERM] * 5, False), ([signal.SIGINT] * 2, False), ([signal.SIGTERM], True)],
    ids=["five TERMs", "two INTs", "TERM to the worker"],
)
def test_whatever_is_signalled_during_twenty_jobs_they_all_run_once_to_their_end(
    host: DockerHost,
    template: ContainerTemplate,
    database_url: str,
    tmp_path: Path,
    signals: list[signal.Signals],
    to_worker: bool,
) -> None:
    runs = tmp_path / "runs"
    report = f"echo $TALLYMAN_JOB_ID $TALLYMAN_ATTEMPT >> {runs}"
    jobs = jobs_that_say(template, f"{report}; echo one; sleep 4; echo two", 20)
    with supervising.running("supervise", "--poll-interval", "1", database_url=database_url) as command:
        running = Attempt.objects.filter(state="running")
        wait_until(lambda: running.count() == 20, timeout_seconds=20, what="twenty running jobs")
        worker, tree, before = holder(host), command.tree, time.monotonic()
        for number in signals:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.pid if to_worker else command.process.pid, number)
        if to_worker:
            holder(host, after=1)
            assert command.process.poll() is None
            wait_for_all_ended()
        else:
            assert command.process.wait(5) == 0
            assert time.monotonic() - before < 5
            assert not psutil.wait_procs(tree, timeout=1)[1]
    if not to_worker:
        with supervising.running("supervise", "--poll-interval", "1", database_url=database_url):
            wait_for_all_ended()
    for job in jobs:
        job.refresh_from_db()
        assert (job.status, job.execution.stdout) == ("completed", "one\ntwo\n")
    assert sorted(runs.read_text().splitlines()) == sorted(f"{job.pk} 1" for job in jobs)


# Threads start as there is work for them: the pools', the probe's, and those for events, logs and usage.
MOST_THREADS = 1 + STEP_THREADS + START_THREADS + PULL_THREADS + 3 + sampler.THREADS


def held_by(command: Command) -> dict[str, int]:
    """What could pile up: in the master, and in the database."""
    master = psutil.Process(command.process.pid)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        (sessions,) = cursor.fetchone()
    return {
        "descriptors": master.num_fds(),
        "threads": master.num_threads(),
        "children": len(master.children()),
        "zombies": sum(child.status() == psutil.STATUS_ZOMBIE for child in master.children()),
        "sessions": sessions,
    }


def restart_the_worker(host: DockerHost, command: Command, times: int) -> None:
    """By turns in order and by force; a death by force makes the next wait longer, so wait for none."""
    for turn in range(times):
        epoch = HostLease.objects.get(host=host).epoch
        holder(host, after=epoch - 1).send_signal(signal.SIGKILL if turn % 2 else signal.SIGTERM)
        command.signal(signal.SIGHUP)
        holder(host, after=epoch)


def piles_nothing_up(
    host: DockerHost, template: ContainerTemplate, database_url: str, restarts: int, jobs: int
) -> None:
    with supervising.running("supervise", "--poll-interval", "1", database_url=database_url) as command:
        wait_for_workers(1)
        restart_the_worker(host, command, 2)
        before = held_by(command)
        restart_the_worker(host, command, restarts)
        wait_until(lambda: held_by(command) == before, 20, f"{before} again, not {held_by(command)}")
        jobs_that_say(template, "true", 20)
        wait_for_all_ended()
        worker = holder(host)
        wait_until(lambda: not worker.children(), 20, "no shim to be left")
        held = worker.num_fds()
        jobs_that_say(template, "true", jobs)
        wait_for_all_ended(60 + jobs / 5)
        still = f"at most {held} descriptors and {MOST_THREADS} threads of the worker"
        wait_until(lambda: worker.num_fds() <= held and worker.num_threads() <= MOST_THREADS, 20, still)


def test_fifty_restarts_and_a_hundred_jobs_leave_nothing_behind(
    host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    piles_nothing_up(host, template, database_url, restarts=50, jobs=100)


@pytest.mark.soak
def test_a_thousand_restarts_and_ten_thousand_jobs_leave_nothing_behind(
    host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    piles_nothing_up(host, template, database_url, restarts=RESTARTS, jobs=10 * RESTARTS)


@pytest.fixture
def first_process(host: DockerHost, database_url: str, tmp_path: Path) -> Iterator[psutil.Process]:
    """A supervisor that is PID 1 of a namespace of its own, as in a container without an init."""
    if os.geteuid() or not shutil.which("unshare"):
        missing("process", "PID namespaces need root and unshare")
    command = [sys.executable, str(ROOT / "manage.py"), "supervise", "--poll-interval", "1"]
    with (tmp_path / "log").open("w") as log:
        outer = subprocess.Popen(
            ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", *command],
            env={**os.environ, "DATABASE_URL": database_url},
            stdout=log,
            stderr=log,
            cwd=ROOT,
        )
    try:
        wait_until(lambda: psutil.Process(outer.pid).children(), what="the supervisor to start")
        yield psutil.Process(outer.pid).children()[0]
    finally:
        print((tmp_path / "log").read_text())
        outer.kill()
        outer.wait(10)


def test_as_the_first_process_it_buries_strangers_and_obeys_term(
    host: DockerHost, template: ContainerTemplate, first_process: psutil.Process
) -> None:
    # Jobs are started by a process that goes away at once: who looks after them is PID 1's child then.
    jobs = jobs_that_say(template, "sleep 1", 10)
    orphans: set[int] = set()

    def all_ended() -> bool:
        orphans.update(
            child.pid
            for child in first_process.children()
            if not " ".join(_command_line(child)).startswith("tallyman:")
        )
        return not Attempt.objects.open().exists() and Attempt.objects.count() == len(jobs)

    wait_until(all_ended, timeout_seconds=30, what="all jobs to end")
    assert orphans, "nobody was orphaned, so this shows nothing"
    wait_until(
        lambda: all(child.status() != psutil.STATUS_ZOMBIE for child in first_process.children()),
        timeout_seconds=10,
        what="no zombie to be left",
    )
    assert len(first_process.children()) == 2
    first_process.terminate()
    first_process.wait(6)
    assert HostLease.objects.get().released_at is not None


def _command_line(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return ["tallyman: gone"]

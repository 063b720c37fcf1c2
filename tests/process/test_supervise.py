"""The supervisor as operators meet it: processes, signals, hosts that come and go."""

from __future__ import annotations

import os
import signal
import time
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from django.db import connection
from django.utils import timezone

from hosts import operations as host_operations
from hosts.models import DockerHost, HostLease, HostRequest, Installation
from jobs import operations
from jobs.models import Attempt, ContainerTemplate
from supervisor import processes
from supervisor.models import Role, SupervisorProcess
from tests.support import supervising
from tests.support.supervising import Command, wait_for_all_ended, wait_for_status, wait_for_workers
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]


def titles(command: Command) -> list[str]:
    # A title shorter than the command line it replaces is padded with blanks.
    return sorted(" ".join(process.cmdline()).rstrip() for process in command.tree)


@pytest.mark.postgres_only  # nothing of it depends on the database
def test_there_is_one_worker_a_host_and_every_process_has_a_title(
    process_host: DockerHost, database_url: str
) -> None:
    with supervising.running("supervise", database_url=database_url) as command:
        wait_for_workers(1)
        expected = ["tallyman: clerk", "tallyman: master 1/1 hosts", "tallyman: worker[here] 0/10 running"]
        wait_until(lambda: titles(command) == expected, what=f"titles to be {expected}")
        rows = SupervisorProcess.objects.values_list("role", flat=True)
        assert sorted(rows) == [Role.CLERK, Role.MASTER, Role.WORKER]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_signal_ends_it_cleanly_within_honchos_patience(
    process_host: DockerHost, template: ContainerTemplate, database_url: str, number: signal.Signals
) -> None:
    with supervising.running("supervise", database_url=database_url) as command:
        job = operations.submit(template, command="sleep 30")
        wait_for_status(job, "running")
        before, tree = time.monotonic(), command.tree
        command.signal(number)
        assert command.process.wait(5) == 0
        assert time.monotonic() - before < 5
        assert not psutil.wait_procs(tree, timeout=1)[1]
    assert HostLease.objects.get().released_at is not None
    assert not SupervisorProcess.objects.exists()
    assert Attempt.objects.get().state == "running"
    operations.cancel(job.id, who="test", force=True)
    with supervising.running("process_container_jobs", "--once", database_url=database_url) as once:
        assert once.process.wait(20) == 0
    job.refresh_from_db()
    assert job.status == "cancelled"


def test_a_new_supervisor_adopts_what_the_old_one_left_running(
    process_host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    with supervising.running("supervise", database_url=database_url):
        job = operations.submit(template, command="sh -c 'echo one; sleep 3; echo two; exit 3'")
        wait_for_status(job, "running")
        wait_until(lambda: Attempt.objects.get().stdout_bytes, what="the first line to be stored")
    with supervising.running("supervise", database_url=database_url):
        wait_for_all_ended()
    job.refresh_from_db()
    assert (job.status, job.exit_code, job.execution.stdout) == ("failed", 3, "one\ntwo\n")
    assert job.attempts.count() == 1


def test_a_killed_master_takes_its_workers_along_and_leaves_the_jobs(
    process_host: DockerHost, template: ContainerTemplate, database_url: str, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    with supervising.running("supervise", database_url=database_url) as command:
        job = operations.submit(template, command=f"sh -c 'echo run >> {runs}; sleep 3; echo done'")
        wait_for_status(job, "running")
        tree = command.tree
        assert processes.is_supervised()
        command.signal(signal.SIGKILL)
        command.process.wait(5)
        assert not processes.is_supervised()  # at once, however fresh its last heartbeat is
        assert not psutil.wait_procs(tree, timeout=5)[1]
    with supervising.running("supervise", database_url=database_url):
        wait_for_status(job, "completed")
    assert (job.execution.stdout, runs.read_text()) == ("done\n", "run\n")


def test_hosts_come_change_and_go_while_it_runs(
    process_host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    with supervising.running("supervise", database_url=database_url):
        wait_for_workers(1)
        other_root = process_host.executor_config["root"] + "-2"
        other = DockerHost.objects.create(
            name="there", executor_type="process", executor_config={"root": other_root}
        )
        wait_for_workers(2)
        job = operations.submit(template, command="sleep 2", host=other)
        wait_for_status(job, "running")
        other.is_active = False
        other.save()
        wait_for_status(job, "completed")  # a host that is switched off finishes what it has
        wait_for_workers(1)
        process_host.executor_config = {"root": other_root + "-3"}
        process_host.save()
        wait_until(lambda: HostLease.objects.get(host=process_host).epoch == 2, timeout_seconds=10)


@pytest.mark.postgres_only  # nothing of it depends on the database
def test_a_test_request_is_answered_by_the_worker(process_host: DockerHost, database_url: str) -> None:
    with supervising.running("supervise", "--poll-interval", "0.5", database_url=database_url):
        wait_for_workers(1)
        request = HostRequest.objects.create(
            host=process_host, verb="test", expires_at=timezone.now() + timedelta(seconds=60)
        )
        done = HostRequest.objects.filter(pk=request.pk, ok=True, done_at__isnull=False)
        wait_until(done.exists, timeout_seconds=10, what="the answer")
    request.refresh_from_db()
    assert "Reachable" in request.result


@pytest.mark.postgres_only  # nothing of it depends on the database
def test_drain_ends_it_when_the_last_job_has_ended(
    process_host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    with supervising.running("supervise", database_url=database_url) as command:
        running = operations.submit(template, command="sleep 2")
        wait_for_status(running, "running")
        command.signal(signal.SIGUSR2)
        wait_until(lambda: "draining" in command.log)
        late = operations.submit(template, command="true")
        assert command.process.wait(15) == 0
    running.refresh_from_db()
    late.refresh_from_db()
    assert (running.status, late.status) == ("completed", "pending")


@pytest.mark.postgres_only  # nothing of it depends on the database
def test_a_worker_that_is_killed_while_it_drains_is_replaced_for_the_sake_of_its_jobs(
    process_host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    with supervising.running("supervise", "--poll-interval", "1", database_url=database_url) as command:
        running = operations.submit(template, command="sh -c 'sleep 4; echo done'")
        wait_for_status(running, "running")
        command.signal(signal.SIGUSR2)
        wait_until(lambda: "draining" in command.log)
        os.kill(HostLease.objects.get().pid, signal.SIGKILL)
        wait_until(lambda: HostLease.objects.get().epoch == 2, timeout_seconds=10)
        late = operations.submit(template, command="true")
        answer = host_operations.request_restart(process_host.pk, by="test")
        assert command.process.wait(20) == 0
    for row in (running, late, answer):
        row.refresh_from_db()
    assert (running.status, running.execution.stdout, late.status) == ("completed", "done\n", "pending")
    assert (answer.ok, "draining" in answer.result) == (False, True)


@pytest.mark.postgres_only  # nothing of it depends on the database
def test_slots_can_be_given_and_taken_by_signal(
    process_host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    start = ("supervise", "--concurrency", "1", "--poll-interval", "1")
    with supervising.running(*start, database_url=database_url) as command:
        wait_for_workers(1)
        jobs = [operations.submit(template, command="sleep 30") for _ in range(2)]
        open_attempts = Attempt.objects.open().filter(state="running")
        wait_until(lambda: open_attempts.count() == 1, timeout_seconds=10)
        command.signal(signal.SIGTTIN)
        wait_until(lambda: open_attempts.count() == 2, timeout_seconds=10)
        for slots in (1, 0, 0):
            command.signal(signal.SIGTTOU)
            title = f"tallyman: worker[here] 2/{slots} running"
            wait_until(lambda: title in titles(command), 10, title)  # noqa: B023
        for job in jobs:
            operations.cancel(job.id, who="test", force=True)
        wait_for_all_ended()
        wait_until(lambda: "tallyman: worker[here] 0/0 running" in titles(command), 10, "no slot to be left")
        late = [operations.submit(template, command="sleep 30") for _ in range(2)]
        command.signal(signal.SIGTTIN)  # there were none left to take: one more is one
        wait_until(lambda: "tallyman: worker[here] 1/1 running" in titles(command), 10, "one slot, taken")
        for job in late:
            operations.cancel(job.id, who="test", force=True)
        wait_for_all_ended()


@pytest.mark.postgres_only  # nothing of it depends on the database
def test_quit_ends_it_at_once_and_usr1_says_what_runs(
    process_host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    with supervising.running("supervise", database_url=database_url) as command:
        job = operations.submit(template, command="sh -c 'sleep 5; echo done'")
        wait_for_status(job, "running")
        command.signal(signal.SIGUSR1)
        words = [
            f"{name}={role}" for name, role in (("role", "master"), ("role", "clerk"), ("role", "worker"))
        ]
        wait_until(
            lambda: all(word in command.log.partition("process ")[2] for word in words), 10, "the list"
        )
        tree, before = command.tree, time.monotonic()
        command.signal(signal.SIGQUIT)
        assert command.process.wait(5) == 0
        assert time.monotonic() - before < 4
        assert not psutil.wait_procs(tree, timeout=1)[1]
    with supervising.running("supervise", database_url=database_url):
        wait_for_status(job, "completed")
    assert (job.execution.stdout, job.attempts.count()) == ("done\n", 1)


def test_a_copy_of_the_database_is_refused(process_host: DockerHost, database_url: str) -> None:
    Installation.objects.create(database_identity="somewhere else")
    with supervising.running("supervise", database_url=database_url) as command:
        assert command.process.wait(20) == 78
        assert "looks like a copy" in command.log.replace("\n", " ")


@pytest.mark.postgres_only  # nothing of it depends on the database
def test_a_worker_that_somebody_else_stopped_is_started_again(
    process_host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    with supervising.running("supervise", database_url=database_url) as command:
        wait_for_workers(1)
        worker = SupervisorProcess.objects.get(role=Role.WORKER)
        os.kill(worker.pid, signal.SIGTERM)  # somebody else's TERM: it detaches, and is started again
        wait_until(lambda: HostLease.objects.get().epoch == 2, timeout_seconds=10)
        assert command.process.poll() is None


def test_a_host_that_does_not_exist_is_said_and_ends_it(process_host: DockerHost, database_url: str) -> None:
    with supervising.running("supervise", "--host", "nowhere", database_url=database_url) as command:
        assert command.process.wait(20) == 4
        assert "nowhere" in command.log


@pytest.mark.postgres_only  # nothing of it depends on the database
def test_a_reload_right_after_the_start_is_not_its_end(process_host: DockerHost, database_url: str) -> None:
    with supervising.running("supervise", database_url=database_url) as command:

        def minds_hangups() -> bool:
            status = Path(f"/proc/{command.process.pid}/status").read_text()
            masks = dict(line.split(":\t") for line in status.splitlines() if line.startswith("Sig"))
            return bool((int(masks["SigIgn"], 16) | int(masks["SigCgt"], 16)) & 1 << signal.SIGHUP - 1)

        wait_until(minds_hangups, what="it to mind signals")
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGTTIN):
            command.signal(number)
        wait_for_workers(1)


@pytest.mark.postgres_only
def test_workers_of_an_old_version_give_their_hosts_back_while_its_columns_are_gone(
    process_host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    with supervising.running("supervise", "--poll-interval", "0.2", database_url=database_url) as command:
        job = operations.submit(template, command="sleep 30")
        wait_for_status(job, "running")
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE jobs_containerjob RENAME COLUMN cancel_requested_at TO was_renamed")
            try:
                wait_until(lambda: "of another version" in command.log, 20, "the worker to notice")
                wait_until(lambda: "try again later" in command.log or "exit code 75" in command.log, 10)
            finally:
                cursor.execute(
                    "ALTER TABLE jobs_containerjob RENAME COLUMN was_renamed TO cancel_requested_at"
                )
        operations.cancel(job.id, who="test", force=True)
        wait_for_status(job, "cancelled")
        assert "crash-loops" not in command.log

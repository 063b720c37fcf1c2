"""The database goes away, hangs, is full or locked while jobs run: nobody dies, and everything is written."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.db import connection

from hosts.models import HostLease
from jobs import operations
from jobs.logs import stream_bytes
from jobs.models import Attempt, ContainerJob, ContainerTemplate
from supervisor.models import Role, SupervisorProcess
from tests.faults.conftest import make_process_host, make_template
from tests.faults.soak import OUTAGE_SECONDS
from tests.support import small_disk, supervising
from tests.support.postgres import PostgresServer
from tests.support.relay import Relay
from tests.support.supervising import Command, wait_for_status, wait_for_workers
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
    def begin(cls, template: ContainerTemplate, marks: Path, name: str = "one", noise: int = 0) -> Counting:
        """Submit it, and wait until it has said something that is stored; each line with noise behind it."""
        runs, stop, said = (marks / f"{name}.{what}" for what in ("runs", "stop", "said"))
        script = (
            f"echo run >> {runs}; n=0; say() {{ echo $1; echo $1 >> {said}; }}; while [ ! -e {stop} ]; do "
            f"n=$((n+1)); say line.$n.$(head -c {noise} /dev/urandom | base64 -w0); sleep 0.1; "
            "done; say end; exit 3"
        )
        job = operations.submit(template, command=f"sh -c '{script}'")
        counting = cls(job, runs, stop, said)
        wait_until(lambda: Attempt.objects.filter(job=job, next_seq__gt=0).exists(), 20, "a stored line")
        return counting

    def wait_for_end(self) -> None:
        """Until it has said its last word, whoever knows of it."""
        wait_until(lambda: self.said.read_text().endswith("end\n"), 10, "the job's end")

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


@contextlib.contextmanager
def one_job_survives(
    url: str, tmp_path: Path, marks: Path, noise: int = 0
) -> Iterator[tuple[Command, Counting]]:
    """A supervisor with a running job; at the end of the block the job ends, and no process ever has."""
    make_process_host(tmp_path)
    template = make_template()
    with supervising.running("supervise", database_url=url) as command:
        wait_for_workers(1)
        pids = [process.pid for process in command.tree]
        job = Counting.begin(template, marks, noise=noise)
        yield command, job
        wait_for_status(job.job, "failed")
        assert [process.pid for process in command.tree] == pids
        assert "child ended" not in command.log
    job.check()


@pytest.mark.postgres_only
def test_a_frozen_server_is_survived_and_everything_is_written_when_it_thaws(
    server: PostgresServer, own_url: str, tmp_path: Path, marks: Path
) -> None:
    with one_job_survives(own_url, tmp_path, marks) as (command, job):
        pid = worker_pid()
        server.pause()
        began = time.monotonic()
        wait_until(lambda: "its connection is cut" in command.log, 15, "the watchdog")
        job.stop.touch()
        wait_until(lambda: time.monotonic() - began > 14, 20)
        server.resume()
        wait_for_status(job.job, "failed")
        assert worker_pid() == pid


@pytest.mark.postgres_only
def test_a_server_that_is_killed_during_running_jobs_costs_no_line_and_no_process(
    server: PostgresServer, own_url: str, tmp_path: Path, marks: Path
) -> None:
    make_process_host(tmp_path)
    template = make_template()
    with supervising.running("supervise", database_url=own_url) as command:
        wait_for_workers(1)
        pids = [process.pid for process in command.tree]
        first, second = (Counting.begin(template, marks, name) for name in ("first", "second"))
        server.kill()
        wait_until(lambda: "containers run on" in command.log, 10, "the worker to see it")
        first.stop.touch()
        first.wait_for_end()
        connection.close()
        server.start()
        wait_for_status(first.job, "failed")
        second.stop.touch()
        wait_for_status(second.job, "failed")
        assert [process.pid for process in command.tree] == pids
        assert "child ended" not in command.log
    first.check()
    second.check()


@pytest.mark.postgres_only
def test_connections_that_are_all_cut_are_made_again_and_a_new_job_wakes_its_worker_soon(
    server: PostgresServer, own_url: str, tmp_path: Path, marks: Path
) -> None:
    make_process_host(tmp_path)
    template = make_template()
    # Nobody looks by himself: only the listener can be in time.
    with supervising.running("supervise", "--poll-interval", "60", database_url=own_url) as command:
        wait_for_workers(1)
        pids, job = [process.pid for process in command.tree], Counting.begin(template, marks)
        for _ in range(3):
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            enqueued = time.monotonic()
            quick = operations.submit(template, command="true")
            wait_for_status(quick, "running", "completed")
            assert time.monotonic() - enqueued < 3
        job.stop.touch()
        wait_for_status(job.job, "failed")
        assert [process.pid for process in command.tree] == pids
    job.check()


@pytest.mark.postgres_only
def test_connections_that_break_in_the_middle_of_a_write_lose_and_repeat_nothing(
    server: PostgresServer, own_url: str, tmp_path: Path, marks: Path
) -> None:
    make_process_host(tmp_path)
    template = make_template()
    with Relay(str(server.directory / ".s.PGSQL.5432")) as relay:
        url = f"postgresql://postgres@127.0.0.1:{relay.port}/outages?sslmode=disable&gssencmode=disable"
        with supervising.running("process_container_jobs", database_url=url) as command:
            job = Counting.begin(template, marks)
            for cut_after in (2_000, 3_000, 4_500):
                before, relay.cut_after = relay.connections, cut_after
                relay.cut()
                wait_until(lambda before=before: relay.connections >= before + 2, 20, "more connections")
            job.stop.touch()
            relay.cut_after = None
            wait_for_status(job.job, "failed")
            assert command.process.poll() is None
    job.check()


@pytest.mark.postgres_only
def test_a_supervisor_whose_database_hangs_is_stopped_within_its_timeout(
    server: PostgresServer, own_url: str, tmp_path: Path, marks: Path
) -> None:
    make_process_host(tmp_path)
    template = make_template()
    with supervising.running("supervise", database_url=own_url) as command:
        wait_for_workers(1)
        job = Counting.begin(template, marks)
        server.pause()
        lines = job.said.read_text().count("\n")
        wait_until(lambda: job.said.read_text().count("\n") > lines + 20, 10, "a call to hang")
        before = time.monotonic()
        assert command.stop() == 0
        assert time.monotonic() - before < 5
        assert "did not end in time" not in command.log
    server.resume()
    job.stop.touch()
    with supervising.running("supervise", database_url=own_url):
        wait_for_status(job.job, "failed")
    job.check()


@pytest.mark.sqlite_only
def test_a_rival_that_holds_the_write_lock_for_long_only_makes_them_wait(
    transactional_db: None, database_url: str, tmp_path: Path, marks: Path
) -> None:
    with (
        one_job_survives(database_url, tmp_path, marks) as (command, job),
        contextlib.closing(sqlite3.connect(connection.settings_dict["NAME"])) as rival,
    ):
        rival.execute("BEGIN IMMEDIATE")
        wait_until(lambda: "database is locked" in command.log, 10, "the worker to see it")
        job.stop.touch()
        job.wait_for_end()
        rival.rollback()


@pytest.mark.sqlite_only
def test_a_full_file_system_under_sqlite_is_waited_for(
    transactional_db: None, tmp_path: Path, marks: Path
) -> None:
    with (
        small_disk.mounted(tmp_path / "small", megabytes=32, name="process") as disk,
        database_at(disk.path / "db.sqlite3") as url,
        one_job_survives(url, tmp_path, marks, noise=100_000) as (command, job),
    ):
        disk.fill()
        wait_until(lambda: "database or disk is full" in command.log, 20, "the worker to see it")
        job.stop.touch()
        job.wait_for_end()
        disk.make_room()


@contextlib.contextmanager
def database_at(place: Path) -> Iterator[str]:
    """The URL of a copy of the test database there, to which Django's connection is led meanwhile."""
    before = connection.settings_dict["NAME"]
    with (
        contextlib.closing(sqlite3.connect(before)) as source,
        contextlib.closing(sqlite3.connect(place)) as copy,
    ):
        source.backup(copy)
    connection.close()
    connection.settings_dict["NAME"] = str(place)
    try:
        yield f"sqlite:///{place}"
    finally:
        connection.close()
        connection.settings_dict["NAME"] = before


@pytest.mark.postgres_only
def test_a_full_disk_of_the_server_is_waited_for(
    server: PostgresServer, own_url: str, tmp_path: Path, marks: Path
) -> None:
    with (
        small_disk.mounted(server.directory / "small", megabytes=32, name="postgres") as disk,
        logs_kept_at(disk.path, server.directory.owner()),
        one_job_survives(own_url, tmp_path, marks, noise=20_000) as (command, job),
    ):
        disk.fill()
        wait_until(lambda: "No space left on device" in command.log, 20, "the worker to see it")
        job.stop.touch()
        job.wait_for_end()
        disk.make_room()


@contextlib.contextmanager
def logs_kept_at(place: Path, user: str) -> Iterator[None]:
    """Meanwhile the server, which runs as that user, keeps stored logs there."""
    data = place / "logs"
    data.mkdir()
    shutil.chown(data, user)
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLESPACE small LOCATION '{data}'")
        cursor.execute("ALTER TABLE jobs_logchunk SET TABLESPACE small")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE jobs_logchunk SET TABLESPACE pg_default")
            cursor.execute("DROP TABLESPACE small")


@pytest.mark.soak
@pytest.mark.postgres_only
@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_five_minutes_without_a_database_are_like_five_seconds(
    server: PostgresServer, own_url: str, tmp_path: Path, marks: Path, how: str
) -> None:
    make_process_host(tmp_path)
    template = make_template()
    with contextlib.ExitStack() as running:
        command = running.enter_context(supervising.running("supervise", database_url=own_url))
        wait_for_workers(1)
        # One that would like to have the host too.
        running.enter_context(supervising.running("supervise", database_url=own_url))
        masters = SupervisorProcess.objects.filter(role=Role.MASTER)
        wait_until(lambda: masters.count() == 2, 20, "the rival")
        pids, job = [process.pid for process in command.tree], Counting.begin(template, marks)
        began = time.monotonic()
        server.kill() if how == "killed" else server.pause()
        wait_until(lambda: time.monotonic() - began > OUTAGE_SECONDS, OUTAGE_SECONDS + 10)
        job.stop.touch()
        job.wait_for_end()
        connection.close()
        server.start() if how == "killed" else server.resume()
        wait_for_status(job.job, "failed")
        assert [process.pid for process in command.tree] == pids
        assert HostLease.objects.get().epoch == 1
    job.check()

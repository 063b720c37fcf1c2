"""Children that crash, hang and cannot start: told apart, shown with their cause, no trouble of others."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from hosts.models import DockerHost, HostLease
from jobs import operations
from jobs.models import ContainerTemplate
from supervisor.models import Role, SupervisorProcess
from tests.support import supervising
from tests.support.supervising import Command, wait_for_status, wait_for_workers
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

POLL = ("supervise", "--poll-interval", "1")


class Trouble:
    """What befalls the worker of which host."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def makes(self, what: str, host: str) -> None:
        (self.folder / host).write_text(what)

    def is_over(self, host: str) -> None:
        (self.folder / host).unlink()


@pytest.fixture
def trouble(tmp_path: Path) -> Trouble:
    return Trouble(tmp_path / "trouble")


@pytest.fixture
def sound_host(tmp_path: Path, transactional_db: None) -> DockerHost:
    return DockerHost.objects.create(
        name="sound", executor_type="process", executor_config={"root": str(tmp_path / "sound")}
    )


@pytest.fixture
def command(process_host: DockerHost, database_url: str, trouble: Trouble) -> Iterator[Command]:
    """A supervisor whose engines have the trouble that the test makes."""
    settings = {"DJANGO_SETTINGS_MODULE": "tests.support.troubled_settings", "TROUBLE": str(trouble.folder)}
    with supervising.running(*POLL, database_url=database_url, **settings) as command:
        yield command


def worker_of(host: DockerHost) -> SupervisorProcess | None:
    return SupervisorProcess.objects.filter(host=host, role=Role.WORKER).order_by("-heartbeat_at").first()


def kill(process: SupervisorProcess, number: signal.Signals = signal.SIGKILL) -> None:
    psutil.Process(process.pid).send_signal(number)


def test_a_crash_loop_is_shown_with_its_cause_and_delays_no_other_host(
    process_host: DockerHost,
    sound_host: DockerHost,
    template: ContainerTemplate,
    trouble: Trouble,
    command: Command,
) -> None:
    wait_for_workers(2)
    before = worker_of(sound_host)
    trouble.makes("raise", "here")
    kill(worker_of(process_host))

    def loops() -> bool:
        row = worker_of(process_host)
        return bool(row and row.is_crash_looping)

    wait_until(loops, timeout_seconds=30, what="the crash loop to be shown")
    job = operations.submit(template, command="true", host=sound_host)
    wait_for_status(job, "completed", timeout_seconds=5)
    row = worker_of(process_host)
    assert row.last_exit.startswith("exit code 70: RuntimeError: this engine's client is broken")
    assert "troubled.py:" in row.last_exit
    assert "hunter2" not in row.last_exit
    assert row.restarts >= 5
    assert row.failing_since_at <= row.last_exit_at
    assert worker_of(sound_host).pid == before.pid
    trouble.is_over("here")
    command.signal(signal.SIGHUP)  # try again now
    wait_for_workers(2)
    row = worker_of(process_host)
    assert (row.is_crash_looping, row.failing_since_at) == (False, None)
    assert "RuntimeError" in row.last_exit  # how the one before it ended stays to be read


@pytest.mark.postgres_only  # nothing of it depends on the database
@pytest.mark.parametrize("mended_by", ["an edit", "HUP"])
def test_a_wrong_setting_parks_the_host_until_a_person_did_something(
    process_host: DockerHost, trouble: Trouble, command: Command, mended_by: str
) -> None:
    wait_for_workers(1)
    trouble.makes("refuse", "here")
    kill(worker_of(process_host))
    parked = SupervisorProcess.objects.filter(host=process_host, state="parked", is_crash_looping=False)
    wait_until(parked.exists, timeout_seconds=20, what="the worker to be parked")
    assert parked.get().last_exit == "exit code 78: a setting is wrong"
    process_host.refresh_from_db()
    assert (process_host.state, process_host.state_reason) == ("parked", "this host's settings are wrong")
    epoch = HostLease.objects.get(host=process_host).epoch
    trouble.is_over("here")
    if mended_by == "HUP":
        command.signal(signal.SIGHUP)
    else:
        process_host.save()
    wait_for_workers(1)
    taken = HostLease.objects.filter(host=process_host, epoch__gt=epoch, released_at=None)
    wait_until(taken.exists, timeout_seconds=20, what="the host to be taken")
    assert taken.get().epoch == epoch + 1  # not tried in between


@pytest.mark.postgres_only  # nothing of it depends on the database
def test_a_worker_whose_loop_hangs_says_where_and_is_replaced(
    process_host: DockerHost, trouble: Trouble, command: Command
) -> None:
    wait_for_workers(1)
    trouble.makes("hang", "here")
    kill(worker_of(process_host), signal.SIGTERM)
    told = "showed no sign of life for 4 s"
    ended = SupervisorProcess.objects.filter(host=process_host, last_exit__contains=told)
    wait_until(ended.exists, timeout_seconds=30, what="the stuck worker to be given up")
    assert "troubled.py" in command.log.partition("where its threads were")[2]
    trouble.is_over("here")
    wait_for_workers(1)


@pytest.mark.postgres_only  # nothing of it depends on the database
def test_a_worker_that_hangs_in_its_boot_is_replaced(sound_host: DockerHost, command: Command) -> None:
    wait_for_workers(2)
    master = psutil.Process(command.process.pid)
    old = worker_of(sound_host)
    kill(old)

    def boots() -> psutil.Process | None:
        known = set(SupervisorProcess.objects.filter(state="running").values_list("pid", flat=True))
        return next((child for child in master.children() if child.pid not in known), None)

    booting = wait_until(boots, timeout_seconds=10, what="the next worker to be forked")
    booting.suspend()
    wait_until(lambda: not booting.is_running(), timeout_seconds=20, what="the hung one to be killed")
    wait_for_workers(2)
    assert worker_of(sound_host).pid not in {old.pid, booting.pid}


@pytest.mark.postgres_only  # nothing of it depends on the database
def test_term_in_the_middle_of_the_boot_ends_it_cleanly(
    process_host: DockerHost, sound_host: DockerHost, database_url: str
) -> None:
    for delay_ready in ("supervisor starts", "child started"):
        with supervising.running(*POLL, database_url=database_url) as booting:
            wait_until(lambda: delay_ready in booting.log, timeout_seconds=20, what=delay_ready)  # noqa: B023
            tree = booting.tree
            booting.signal(signal.SIGTERM)
            assert booting.process.wait(5) == 0
            assert not psutil.wait_procs(tree, timeout=1)[1]
    assert not SupervisorProcess.objects.exists()


def test_the_row_of_each_process_has_its_figures(
    process_host: DockerHost, template: ContainerTemplate, command: Command
) -> None:
    wait_for_workers(1)
    job = operations.submit(template, command="sleep 120")
    wait_for_status(job, "running")
    held = SupervisorProcess.objects.filter(role=Role.WORKER, jobs_held=1)
    wait_until(held.exists, timeout_seconds=60, what="the job to be counted")
    for row in SupervisorProcess.objects.all():
        process = psutil.Process(row.pid)
        assert abs(row.started_at.timestamp() - process.create_time()) < 5
        assert 0 < row.uss_bytes <= row.rss_bytes
        assert row.open_files > 0
        assert row.threads == (1 if row.role == Role.MASTER else row.threads)
        assert (row.jobs_held is None) is (row.role != Role.WORKER)
    # Nothing in the master can hang on a database, or be broken by a child that has it too.
    master = psutil.Process(command.process.pid)
    assert not [one for one in master.net_connections("all") if one.raddr]
    assert not [one.path for one in master.open_files() if "sqlite" in one.path]
    operations.cancel(job.pk, who="test", force=True)
    wait_for_status(job, "cancelled")

"""The worker in one process, as an operator or cron meets it, on a real engine."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.db.models.functions import Now

from hosts.models import DockerHost, HostLease, HostSample, HostState
from jobs import operations
from jobs.models import Attempt, ContainerTemplate, JobEvent
from supervisor.models import SupervisorProcess
from tests.jobs.attempts import take
from tests.supervisor.working import AnyEngine, most_at_once, names, shell, statuses, work
from tests.support import supervising
from tests.support.supervising import StartCounter, wait_for_status
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.docker, pytest.mark.process, pytest.mark.django_db(transaction=True)]

STAY = {"TALLYMAN_RETENTION_HOURS": "1"}


def test_once_runs_everything_that_is_pending_and_ends(
    engine: AnyEngine, host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    jobs = [shell(template, f"echo {n}; exit {n % 2}", host=host if n < 2 else None) for n in range(5)]
    code, log = work("--once", database_url=database_url)
    assert (code, "5 jobs were taken." in log) == (0, True)
    for number, job in enumerate(jobs):
        job.refresh_from_db()
        assert (job.status, job.exit_code) == ("failed" if number % 2 else "completed", number % 2)
        assert job.execution.stdout == f"{number}\n"
        assert Attempt.objects.get(job=job).container_name not in names(engine)
    assert HostLease.objects.get().released_at is not None
    assert not SupervisorProcess.objects.exists()


@pytest.mark.sqlite_only
def test_once_with_nothing_to_do_ends_at_once(host: DockerHost, database_url: str) -> None:
    code, log = work("--once", database_url=database_url)
    assert (code, "0 jobs were taken." in log) == (0, True)


@pytest.mark.sqlite_only
def test_once_leaves_what_is_held_and_what_another_host_is_to_run(
    host: DockerHost, other_host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    held = shell(template, "true", name="held")
    operations.stop(held.id, who="test")
    shell(template, "true", name="elsewhere", host=other_host)
    shell(template, "true", name="free", host=host)
    code, _ = work("--once", "--host", "docker", database_url=database_url)
    assert code == 0
    assert statuses() == {"held": "pending", "elsewhere": "pending", "free": "completed"}


@pytest.mark.sqlite_only
def test_max_jobs_is_never_exceeded(host: DockerHost, template: ContainerTemplate, database_url: str) -> None:
    for number in range(5):
        shell(template, "sleep 0.3", name=str(number))
    code, _ = work("--once", "--max-jobs", "2", database_url=database_url)
    assert code == 0
    assert set(statuses().values()) == {"completed"}
    assert most_at_once() == 2


def test_max_jobs_counts_over_all_hosts_and_leaves_none_of_them_out(
    host: DockerHost, other_host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    for number in range(2):
        shell(template, "sleep 0.2", name=f"docker {number}", host=host)
        shell(template, "sleep 0.2", name=f"here {number}", host=other_host)
    code, _ = work("--once", "--max-jobs", "1", database_url=database_url)
    assert code == 0
    assert set(statuses().values()) == {"completed"}
    assert most_at_once() == 1


@pytest.mark.sqlite_only
def test_max_jobs_lets_no_host_starve_behind_the_many_jobs_of_another(
    other_host: DockerHost, template: ContainerTemplate, database_url: str, tmp_path: Path
) -> None:
    config = {"root": str(tmp_path / "busy")}
    busy = DockerHost.objects.create(name="busy", executor_type="process", executor_config=config)
    for number in range(8):
        shell(template, "true", name=f"busy {number}", host=busy)
    for number in range(2):
        shell(template, "true", name=f"here {number}", host=other_host)
    assert work("--once", "--max-jobs", "1", database_url=database_url)[0] == 0
    claimed = JobEvent.objects.filter(kind="claimed").order_by("pk").values_list("message", flat=True)
    assert set(claimed[:3]) == set(claimed[2:4]) == {"by busy", "by here"}


@pytest.mark.sqlite_only
def test_once_takes_what_a_better_host_of_another_supervisor_does_not_take(
    other_host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    better = {"weight": 500, "state": HostState.ONLINE, "seen_at": Now()}
    take(DockerHost.objects.create(name="better", connection_string="unix:///nowhere", **better))
    shell(template, "true", name="shared")
    code, log = work("--once", "--host", "here", database_url=database_url)
    assert (code, "1 jobs were taken." in log) == (0, True)
    assert statuses() == {"shared": "completed"}


@pytest.mark.sqlite_only
def test_without_max_jobs_the_hosts_own_limit_holds(
    host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    DockerHost.objects.update(max_concurrent_jobs=3)
    for number in range(5):
        shell(template, "sleep 0.3", name=str(number))
    assert work("--once", database_url=database_url)[0] == 0
    assert most_at_once() == 3


def test_an_unreachable_engine_leaves_its_jobs_pending_and_says_why(
    template: ContainerTemplate, database_url: str, tmp_path: Path
) -> None:
    nowhere = DockerHost.objects.create(name="nowhere", connection_string=f"unix://{tmp_path}/none")
    shell(template, "true", name="waits")
    code, log = work("--once", database_url=database_url)
    assert (code, "Traceback" in log) == (0, False)
    assert statuses() == {"waits": "pending"}
    nowhere.refresh_from_db()
    assert nowhere.state == HostState.UNREACHABLE
    assert "there is no socket at its address" in nowhere.state_reason


@pytest.mark.sqlite_only
def test_jobs_that_it_leaves_pending_say_why(
    template: ContainerTemplate, database_url: str, tmp_path: Path
) -> None:
    nowhere = DockerHost.objects.create(name="nowhere", connection_string=f"unix://{tmp_path}/none")
    job = shell(template, "true", host=nowhere)
    assert work("--once", database_url=database_url)[0] == 0
    job.refresh_from_db()
    assert job.pending_reason.startswith("Host nowhere is unreachable since")


@pytest.mark.sqlite_only
def test_while_it_runs_it_says_why_jobs_wait_and_thins_the_samples(
    other_host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    DockerHost.objects.update(max_concurrent_jobs=1)
    long_ago = Now() - timedelta(hours=3)
    for _ in range(30):
        HostSample.objects.create(host=other_host, at=long_ago, jobs_running=0, slots=1)
    shell(template, "sleep 60", name="first", host=other_host)
    with supervising.running("process_container_jobs", database_url=database_url):
        waiting = shell(template, "true", name="second", host=other_host)
        full = type(waiting).objects.filter(pk=waiting.pk, pending_reason="Host here is full (1 of 1 slots)")
        wait_until(full.exists, 20, "the reason")
        wait_until(lambda: HostSample.objects.filter(at__lt=Now() - timedelta(hours=1)).count() <= 2, 20, "")


@pytest.mark.sqlite_only
def test_a_job_whose_answers_cannot_be_read_is_failed_by_the_fourth_run(
    other_host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    bad, good = shell(template, "sleep 60"), shell(template, "sleep 1")
    environment = {
        "DJANGO_SETTINGS_MODULE": "tests.support.deadly_settings",
        **{"DEADLY_JOB": str(bad.pk), "DEADLY_STEP": "observe", "DEADLY_HOW": "raise"},
    }
    codes = [work("--once", database_url=database_url, **environment)[0] for _ in range(4)]
    assert codes == [1, 1, 1, 0]
    bad.refresh_from_db()
    assert (bad.status, bad.failure_class) == ("failed", "kills_worker")
    assert "died by an uncaught exception" in bad.events.filter(kind="killed worker").first().message
    good.refresh_from_db()
    assert (good.status, good.attempts.get().worker_kills) == ("completed", 0)


@pytest.mark.sqlite_only
def test_term_ends_it_soon_with_containers_running_on_and_the_next_run_adopts_them(
    engine: AnyEngine, host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    counter = StartCounter(engine)
    job = shell(template, "echo one; sleep 4; echo two; exit 3")
    with supervising.running("process_container_jobs", database_url=database_url) as command:
        wait_for_status(job, "running")
        command.signal(signal.SIGTERM)
        before = time.monotonic()
        assert command.process.wait(6) == 0
        assert time.monotonic() - before < 5
    container_id = Attempt.objects.get().container_id
    assert engine.api.inspect_container(container_id)["State"]["Running"]
    assert HostLease.objects.get().released_at is not None
    assert work("--once", database_url=database_url)[0] == 0
    job.refresh_from_db()
    assert (job.status, job.exit_code, job.execution.stdout) == ("failed", 3, "one\ntwo\n")
    assert Attempt.objects.get().epoch == 2
    assert counter.starts == {(str(job.id), "1"): 1}
    counter.close()


@pytest.fixture
def strangers(engine: AnyEngine) -> Iterator[set[str]]:
    """The names of two ended containers that are not ours: one has no label, one another installation's."""
    labels = {"stranger": {}, "neighbour": {"tallyman.installation": "another", "tallyman.job": "x"}}
    for name, named in labels.items():
        made = engine.api.create_container("busybox:latest", "true", name=name, labels=named)
        engine.api.start(made["Id"])
    yield set(labels)
    engine.api.remove_container("stranger", force=True)  # the other one looks like ours to the clearing up


@pytest.mark.postgres_only
def test_cleanup_removes_the_containers_of_ended_jobs_and_no_other(
    engine: AnyEngine, host: DockerHost, template: ContainerTemplate, strangers: set[str], database_url: str
) -> None:
    ended = shell(template, "true")
    assert work("--once", database_url=database_url, **STAY)[0] == 0
    running = shell(template, "sleep 60")
    command = ("process_container_jobs", "--poll-interval", "0.2")
    with supervising.running(*command, database_url=database_url, **STAY):
        wait_for_status(running, "running")
        mine = {job: Attempt.objects.get(job=job).container_name for job in (ended, running)}
        assert mine[ended] in names(engine), "kept for its retention"
        code, log = work("--cleanup", "--cleanup-hours", "0", database_url=database_url)
        left = names(engine)
        operations.cancel(running.id, who="test", force=True)
        wait_for_status(running, "cancelled")
    assert (code, f"removed {mine[ended]}" in log) == (0, True)
    assert left & {*mine.values(), *strangers} == {mine[running], *strangers}


@pytest.mark.sqlite_only
def test_cleanup_leaves_what_ended_a_shorter_while_ago_than_asked_for(
    engine: AnyEngine, host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    shell(template, "true")
    assert work("--once", database_url=database_url, **STAY)[0] == 0
    code, log = work("--cleanup", "--cleanup-hours", "0.5", database_url=database_url)
    assert (code, "0 containers removed, 1 left" in log) == (0, True)
    assert Attempt.objects.get().container_name in names(engine)


@pytest.mark.sqlite_only
def test_of_what_is_kept_no_more_stays_than_the_newest_that_are_asked_for(
    engine: AnyEngine, host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    older, newer = shell(template, "true"), shell(template, "true")
    assert work("--once", "--max-jobs", "1", database_url=database_url, **STAY)[0] == 0
    made = dict(Attempt.objects.values_list("job_id", "container_name"))
    assert {*made.values()} <= names(engine)
    code, log = work("--cleanup", database_url=database_url, **STAY, TALLYMAN_RETENTION_COUNT="1")
    assert (code, "1 containers removed, 1 left" in log) == (0, True)
    assert names(engine) & {*made.values()} == {made[newer.pk]}
    assert f"removed {made[older.pk]}" in log


@pytest.mark.sqlite_only
def test_cleanup_leaves_what_a_host_that_was_declared_lost_brings_back_with_its_log(
    engine: AnyEngine, host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    shell(template, "true")
    assert work("--once", database_url=database_url, **STAY)[0] == 0
    Attempt.objects.update(outcome="lost", failure_class="declared_lost", logs_complete=False)
    code, log = work("--cleanup", "--cleanup-hours", "0", database_url=database_url)
    assert (code, "0 containers removed, 1 left" in log) == (0, True)
    assert Attempt.objects.get().container_name in names(engine)


@pytest.mark.sqlite_only
def test_cleanup_names_the_hosts_it_cannot_reach_and_cleans_the_others(
    host: DockerHost, database_url: str, tmp_path: Path
) -> None:
    DockerHost.objects.create(name="away", connection_string=f"unix://{tmp_path}/none")
    code, log = work("--cleanup", database_url=database_url)
    assert (code, log.count("\n")) == (1, 3)
    assert "away: the engine cannot be reached" in log
    assert "docker: 0 containers removed" in log


@pytest.mark.sqlite_only
def test_an_unknown_host_is_not_found_and_the_others_are_named(host: DockerHost, database_url: str) -> None:
    code, log = work("--once", "--host", "dokcer", database_url=database_url)
    assert (code, log) == (4, "CommandError: There is no host 'dokcer'. There are: docker.\n")


@pytest.mark.sqlite_only
def test_without_an_active_host_there_is_nothing_to_work_for(host: DockerHost, database_url: str) -> None:
    DockerHost.objects.update(is_active=False)
    code, log = work("--once", database_url=database_url)
    assert (code, log.count("\n")) == (1, 1)
    assert "There is no active host." in log


@pytest.mark.sqlite_only
@pytest.mark.parametrize(
    "arguments",
    [("--poll-interval", "0"), ("--poll-interval", "soon"), ("--max-jobs", "-1"), ("--cleanup-hours", "x")],
)
def test_a_bad_argument_is_wrong_usage(database_url: str, arguments: tuple[str, str]) -> None:
    code, log = work(*arguments, database_url=database_url)
    assert (code, "Traceback" in log) == (2, False)
    assert f"argument {arguments[0]}: {arguments[1]!r} is no" in log

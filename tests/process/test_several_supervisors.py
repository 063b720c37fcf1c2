"""Several supervisors: they share the hosts, take over from one that dies, and follow one another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from hosts.models import DockerHost, HostLease
from jobs.models import Attempt, ContainerJob, ContainerTemplate
from supervisor.models import Role, SupervisorProcess
from tests.support import supervising
from tests.support.supervising import Command, wait_for_all_ended
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

POLL = ("supervise", "--poll-interval", "1")
QUICK = {"DJANGO_SETTINGS_MODULE": "tests.support.quick_settings"}


@pytest.fixture
def hosts(tmp_path: Path, transactional_db: None) -> list[DockerHost]:
    return [
        DockerHost.objects.create(
            name=f"host-{number}",
            executor_type="process",
            executor_config={"root": str(tmp_path / f"root-{number}")},
            max_concurrent_jobs=3,
        )
        for number in range(4)
    ]


class Work:
    """Jobs that note each of their runs in a file."""

    def __init__(self, template: ContainerTemplate, runs: Path) -> None:
        self.template, self.runs = template, runs
        self.over = runs.with_name("over")
        runs.touch()

    def submit(self, count: int, *, hosts: list[DockerHost] | None = None, until: str = "") -> None:
        until = until or f"while [ ! -e {self.over} ]; do sleep 0.2; done"
        command = f"sh -c 'echo $TALLYMAN_JOB_ID >> {self.runs}; {until}; echo done'"
        places: list[DockerHost | None] = [*(hosts or [None])]
        ContainerJob.objects.bulk_create(
            ContainerJob(
                template=self.template, override_command=command, docker_host=places[number % len(places)]
            )
            for number in range(count)
        )

    def was_done_once_each(self) -> None:
        jobs = list(ContainerJob.objects.select_related("execution"))
        assert Counter(job.status for job in jobs) == {"completed": len(jobs)}
        assert all(job.execution.stdout == "done\n" for job in jobs)
        assert sorted(self.runs.read_text().split()) == sorted(str(job.pk) for job in jobs)
        assert Attempt.objects.count() == len(jobs)


@pytest.fixture
def work(template: ContainerTemplate, tmp_path: Path) -> Work:
    return Work(template, tmp_path / "runs")


def start(database_url: str) -> Iterator[Command]:
    return supervising.running(*POLL, database_url=database_url, **QUICK)


def held_by(command: Command) -> set[str]:
    """The hosts whose lease a process of this supervisor has."""
    pids = {process.pid for process in command.tree}
    held = HostLease.objects.filter(released_at=None, pid__in=pids)
    return set(held.values_list("host__name", flat=True))


def wait_until_held(command: Command, count: int, seconds: float = 30.0) -> None:
    wait_until(lambda: len(held_by(command)) == count, seconds, f"{count} hosts to be held by this one")


def test_a_second_supervisor_gets_its_share_and_no_job_notices(
    hosts: list[DockerHost], work: Work, database_url: str
) -> None:
    with start(database_url) as one:
        wait_until_held(one, 4)
        work.submit(8, hosts=hosts)
        running = Attempt.objects.filter(state="running")
        wait_until(lambda: running.count() == 8, timeout_seconds=20, what="eight running jobs")
        with start(database_url) as two:
            wait_until_held(two, 2)
            wait_until_held(one, 2)
            assert running.count() == 8, "the hosts changed hands under running jobs"
            work.over.touch()
            wait_for_all_ended()
            work.was_done_once_each()
            workers = SupervisorProcess.objects.filter(role=Role.WORKER)
            assert workers.values("host").distinct().count() == workers.count() == 4
            assert (one.stop(), two.stop()) == (0, 0)


@pytest.mark.postgres_only  # nothing of it depends on the database
def test_when_a_machine_dies_the_other_supervisor_takes_its_hosts_and_their_jobs(
    hosts: list[DockerHost], work: Work, database_url: str
) -> None:
    with start(database_url) as one, start(database_url) as two:
        wait_until_held(one, 2)
        wait_until_held(two, 2)
        work.submit(8, hosts=hosts)
        running = Attempt.objects.filter(state="running")
        wait_until(lambda: running.count() == 8, timeout_seconds=20, what="eight running jobs")
        one.kill_everything()
        wait_until_held(two, 4)
        work.over.touch()
        wait_for_all_ended()
        work.was_done_once_each()


def test_a_rolling_deployment_under_load_interrupts_nothing(
    hosts: list[DockerHost], work: Work, database_url: str
) -> None:
    with start(database_url) as old:
        wait_until_held(old, 4)
        work.submit(20, until="sleep 2")
        with start(database_url) as new:
            wait_until(lambda: "child started" in new.log, timeout_seconds=20)
            work.submit(20, until="sleep 2")
            assert old.stop() == 0
            work.submit(10, until="true")
            wait_until_held(new, 4, seconds=15)
            wait_for_all_ended()
            work.was_done_once_each()
            assert new.stop() == 0

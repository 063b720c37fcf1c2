"""What jobs on a real engine are said to have used: right, or not measured."""

from __future__ import annotations

from typing import Any

import pytest

from hosts.models import DockerHost
from jobs import operations, usage
from jobs.measures import FIGURES
from jobs.models import Attempt, ContainerExecution, ContainerTemplate, UsageSample
from tests.supervisor.working import shell, work
from tests.support import supervising
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.docker, pytest.mark.process, pytest.mark.django_db(transaction=True)]

MIB = 2**20
# A shell holds two copies of what it reads into a variable while it does, and one afterwards.
HUNGRY = 'x=$(head -c 30000000 /dev/zero | tr "\\\\000" x)'


def seconds_of(times: str) -> float:
    """What the shell's `times` says that it used itself: 0m1.50s 0m0.02s."""
    parts = (part.rstrip("s").split("m") for part in times.split()[:2])
    return sum(60 * int(minutes) + float(seconds) for minutes, seconds in parts)


def used(name: str) -> ContainerExecution:
    return ContainerExecution.objects.get(job__name=name)


def test_figures_are_right_or_not_told(
    host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    shell(template, f"{HUNGRY}; sleep 4; :", name="hungry")
    shell(template, f"sleep 1; {HUNGRY}; x=; sleep 4; :", name="spike")
    shell(template, "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; times; sleep 4", name="busy")
    shell(template, "true", name="short")

    assert work("--once", database_url=database_url)[0] == 0

    hungry, spike, busy, short = (used(name) for name in ("hungry", "spike", "busy", "short"))
    assert {name: getattr(short, name) for name in FIGURES} == dict.fromkeys(FIGURES)
    assert 28 * MIB < hungry.peak_memory_bytes < 75 * MIB
    assert 28 * MIB < spike.peak_memory_bytes < 75 * MIB
    assert hungry.average_memory_bytes > spike.average_memory_bytes
    own = seconds_of(busy.stdout)
    assert 0.75 * own < busy.cpu_seconds < own + 0.5  # the engine's steps before the job's first are in it
    assert busy.peak_memory_bytes < 20 * MIB
    assert busy.peak_pids == 2  # it, and the process that buries orphans
    assert UsageSample.objects.filter(attempt__job__name="hungry").exists()


def peak_so_far() -> int:
    attempt = Attempt.objects.first()
    return (usage.figures(attempt)["peak_memory_bytes"] or 0) if attempt else 0


def totals() -> dict[str, Any]:
    measured: dict[str, Any] = Attempt.objects.get().measured
    return measured["totals"]


@pytest.mark.sqlite_only
def test_who_takes_over_knows_what_was_used_before(
    host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    job = shell(template, f"{HUNGRY}; x=; sleep 200; :", name="long")
    with supervising.running("process_container_jobs", database_url=database_url) as worker:
        wait_until(lambda: peak_so_far() > 28 * MIB, 30)
        assert worker.stop() == 0
    before = Attempt.objects.get()
    with supervising.running("process_container_jobs", database_url=database_url) as worker:
        wait_until(lambda: totals()["last_at"] > before.measured["totals"]["last_at"], 30)
        operations.cancel(job.id, who="test", force=True)
        supervising.wait_for_status(job, "cancelled")
    assert totals()["first_at"] == before.measured["totals"]["first_at"]
    assert used("long").peak_memory_bytes > 28 * MIB
    assert used("long").cpu_seconds >= before.measured["totals"]["cpu_seconds"]

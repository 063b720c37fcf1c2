"""Engines that refuse, or whose answers are lost: still one container, and one run."""

from __future__ import annotations

import contextlib

import docker
import pytest

from hosts.models import Installation
from jobs import operations
from jobs.models import Attempt, ContainerJob
from jobs.spec import container_name
from tests.faults.conftest import Bench, log_of
from tests.faults.steps import AFTER_ITS_EXIT, STEPS
from tests.support import supervising
from tests.support.supervising import wait_for_status
from tests.support.taps import Answer, Lost, Trap
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.docker,
    pytest.mark.process,
    pytest.mark.slow,
    pytest.mark.postgres_only,
    pytest.mark.django_db(transaction=True),
]

CREATE, START, REMOVE = "POST /containers/create", "POST /containers/[^/]+/start", "DELETE /containers/[^/]+"
KILL = "POST /containers/[^/]+/kill"


def lose() -> Answer | None:
    raise Lost


def test_one_container_runs_once_whatever_the_engine_says_of_it(bench: Bench) -> None:
    """Refused without a reason, or done without an answer: the engine is asked what there is, then."""
    traps = {
        "create says 500": Trap(CREATE, "before", lambda: Answer(500, "no good reason")),
        "create says 409": Trap(CREATE, "before", lambda: Answer(409, "Conflict. The name is in use")),
        "create was done, and says 500": Trap(CREATE, "after", lambda: Answer(500, "no good reason")),
        "create was lost": Trap(CREATE, "before", lose),
        "create's answer was lost": Trap(CREATE, "after", lose),
        "start says 500": Trap(START, "before", lambda: Answer(500, "no good reason")),
        "start was done, and says 500": Trap(START, "after", lambda: Answer(500, "no good reason")),
        "start was lost": Trap(START, "before", lose),
        "start's answer was lost": Trap(START, "after", lose),
        "removal says 500": Trap(REMOVE, "before", lambda: Answer(500, "no good reason")),
        "removal's answer was lost": Trap(REMOVE, "after", lose),
    }
    jobs: dict[str, ContainerJob] = {}
    with supervising.running("supervise", database_url=bench.database_url):
        bench.holder()
        for name, trap in traps.items():
            bench.engine_tap.set(trap)
            jobs[name] = bench.submit("echo once; sleep 0.2; exit 4", name=name)
            wait_for_status(jobs[name], "failed")
            assert trap.snapped.wait(10), name
        bench.wait_until_empty()
    for name, job in jobs.items():
        assert (job.exit_code, job.failure_class) == (4, "exit_code"), f"{name}: {job.failure_message}"
        assert bench.runs_of(job) == ({"1": 1}, {"1": 1}), name
        assert log_of(job) == [(b"once\n", b"")], name


def test_a_job_cancelled_at_any_step_has_one_end_and_leaves_nothing(bench: Bench) -> None:
    """The cancel is committed while the step's message waits."""
    jobs: dict[str, ContainerJob] = {}
    with supervising.running("supervise", database_url=bench.database_url):
        bench.holder()
        for name, step in STEPS.items():
            job = jobs[name] = ContainerJob(template=bench.template)
            exits = name in AFTER_ITS_EXIT
            cancelled: list[str] = []

            def cancel(name: str = name) -> None:
                bench.cancel_soon(jobs[name], cancelled)

            trap = step.trap(cancel)
            bench.tap(step.on).set(trap)
            jobs[name] = bench.submit("echo here; exit 4" if exits else "echo here; exec sleep 60", name=name)
            assert trap.snapped.wait(20), name
            if name in {"before the claim"}:
                assert not cancelled
            wait_for_status(jobs[name], "cancelled", "failed")
            assert exits or jobs[name].status == "cancelled", name
        bench.wait_until_empty()
    for name, job in jobs.items():
        (attempt,) = Attempt.objects.filter(job=job)
        ends = job.events.filter(kind="ended").count()
        starts, runs = bench.runs_of(job)
        expected = {"cancelled": "cancelled", "user": "failed"}[attempt.outcome]
        assert (ends, job.status) == (1, expected), name
        assert starts["1"] <= 1, name
        assert runs["1"] <= 1, name
        assert attempt.logs_complete or not starts, name

"""Engines that refuse, or whose answers are lost: still one container, and one run."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import threading

import pytest
from django.db import connection

from hosts import installation
from jobs import operations
from jobs.models import Attempt, ContainerJob
from jobs.spec import container_name
from tests.faults.bench import Bench, log_of
from tests.faults.steps import AFTER_ITS_EXIT, STEPS
from tests.support import racing, supervising
from tests.support.supervising import wait_for_all_ended, wait_for_status
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


def cancel_now(name: str) -> None:
    """Cancel the job of that name; returns when that is committed, or waits for somebody else's lock."""

    def cancel() -> None:
        try:
            job_id = ContainerJob.objects.values_list("pk", flat=True).get(name=name)
            operations.cancel(job_id, who="test")
        except operations.Refused:
            pass  # it has ended already
        finally:
            connection.close()

    thread = threading.Thread(target=cancel, daemon=True)
    thread.start()
    try:
        wait_until(lambda: not thread.is_alive() or racing.someone_waits(), 20, what="the cancel")
    finally:
        connection.close()


def test_a_job_cancelled_at_any_step_has_one_end_and_leaves_nothing(bench: Bench) -> None:
    """The cancel is committed, or waits for the worker's transaction, while the step's message waits."""
    jobs: dict[str, ContainerJob] = {}
    with supervising.running("supervise", database_url=bench.database_url):
        bench.holder()
        for name, step in STEPS.items():
            trap = step.trap(functools.partial(cancel_now, name))
            bench.tap(step.on).set(trap)
            # Not at once: an exit in the first moment is told with the end, in one step.
            script = "echo here; sleep 0.3; exit 4" if name in AFTER_ITS_EXIT else "echo here; exec sleep 60"
            jobs[name] = bench.submit(script, name=name)
            assert trap.snapped.wait(20), name
            wait_for_status(jobs[name], "cancelled", "failed")
            bench.wait_until_empty()  # or the next trap might snap at this one's removal
        for name, job in jobs.items():
            assert job.status == "cancelled" or name in AFTER_ITS_EXIT, name
            attempts = list(Attempt.objects.filter(job=job))
            assert len(attempts) == 1, name
            attempt = attempts[0]
            assert {"cancelled": "cancelled", "user": "failed"}[attempt.outcome] == job.status, name
            assert job.events.filter(kind="ended").count() == 1, name
            starts, runs = bench.runs_of(job)
            assert max(starts["1"], runs["1"]) <= 1, name
            assert attempt.logs_complete, name


def test_cancels_that_race_with_the_end_leave_one_end_each(bench: Bench) -> None:
    jobs = []
    with supervising.running("supervise", database_url=bench.database_url):
        bench.holder()
        for number in range(20):
            jobs.append(bench.submit(f"sleep 0.{number % 10}; exit 4"))
        for job in jobs:
            # One that ends in its first moment is never seen running: it goes from created to ended.
            begun = Attempt.objects.filter(job=job).exclude(state__in=["claimed", "pulling", "created"])
            wait_until(begun.exists, 20, "the job to begin")
            with contextlib.suppress(operations.Refused):
                operations.cancel(job.id, who="test", force=True)
        wait_for_all_ended()
        bench.wait_until_empty()
    for job in jobs:
        job.refresh_from_db()
        (attempt,) = Attempt.objects.filter(job=job)
        assert {"cancelled": "cancelled", "user": "failed"}[attempt.outcome] == job.status
        assert job.events.filter(kind="ended").count() == 1
        assert bench.runs_of(job)[0] == {"1": 1}


def test_a_strangers_container_of_the_same_name_is_left_alone_and_the_job_is_told(bench: Bench) -> None:
    job = bench.submit("echo never")
    name = container_name(installation.current().id, job.id)
    stranger = bench.engine.api.create_container("busybox:latest", ["sleep", "60"], name=name)["Id"]
    with supervising.running("supervise", database_url=bench.database_url):
        wait_for_status(job, "failed")
    assert job.failure_class == "name_conflict"
    assert bench.engine.api.inspect_container(stranger)["State"]["Status"] == "created"
    assert not bench.runs_of(job)[1]


def test_a_container_removed_by_hand_is_lost_and_its_job_does_not_run_again(bench: Bench) -> None:
    with supervising.running("supervise", database_url=bench.database_url):
        job = bench.submit("echo here; exec sleep 60")
        wait_for_status(job, "running")
        wait_until(lambda: bench.runs_of(job)[1], what="the container to run")
    # While nobody looks: a worker that does would see it end before it goes.
    (container,) = bench.engine.api.containers()
    bench.engine.api.remove_container(container["Id"], force=True)
    with supervising.running("supervise", database_url=bench.database_url):
        wait_for_status(job, "failed")
    attempt = Attempt.objects.get()
    assert (attempt.outcome, attempt.logs_complete, bool(attempt.logs_note)) == ("lost", False, True)
    assert bench.runs_of(job) == ({"1": 1}, {"1": 1})


def test_a_dead_owners_unstarted_container_is_deleted_and_never_started(bench: Bench) -> None:
    made: list[str] = []

    def die() -> None:
        made.append(bench.engine.api.containers(all=True)[0]["Id"])
        os.kill(victim, signal.SIGKILL)
        raise Lost  # the start never gets to the engine

    with supervising.running("supervise", database_url=bench.database_url):
        victim = bench.holder()
        trap = Trap(START, "before", die)
        bench.engine_tap.set(trap)
        job = bench.submit("exit 4")
        wait_for_status(job, "failed")
    attempt = Attempt.objects.get()
    assert attempt.outcome == "user"
    assert attempt.container_id not in ("", made[0])
    assert bench.runs_of(job) == ({"1": 1}, {"1": 1})

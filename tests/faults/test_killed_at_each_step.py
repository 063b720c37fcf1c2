"""A worker that is killed, or sleeps over its lease, anywhere in the start protocol: one run, one result."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterable

import pytest

from hosts.models import HostLease
from jobs.models import ContainerJob
from jobs.states import ENDED_STATUSES
from tests.faults.bench import Bench, expire_lease, log_of
from tests.faults.steps import IN_TRANSACTION, REMOVE, STEPS
from tests.support import supervising
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.docker,
    pytest.mark.process,
    pytest.mark.slow,
    pytest.mark.postgres_only,
    pytest.mark.django_db(transaction=True),
]

SCRIPT = "echo one; echo two >&2; sleep 0.3; echo three; exit 3"
OUTPUT = [(b"one\nthree\n", b"two\n")]


SHORT_SCRIPT = "echo one; echo two >&2; echo three; exit 3"
# Of a job that exits at once: it is not written that it runs, and its exit is written with its end.
STEPS_OF_SHORT = (
    "after the start",
    "at its exit",
    "before its end",
    "before its end is committed",
    "after its end",
)


def wrong_with(bench: Bench, job: ContainerJob) -> list[str]:
    """What is not as if nothing had happened; empty if all is well."""
    ended = ContainerJob.objects.filter(pk=job.pk, status__in=ENDED_STATUSES)
    try:
        wait_until(ended.exists, timeout_seconds=50, what="the job to end")
    except AssertionError as exc:
        job.refresh_from_db()
        return [f"{exc}; it is {job.status}, {list(job.attempts.values_list('state', 'epoch'))}"]
    job.refresh_from_db()
    starts, runs = bench.runs_of(job)
    found = {
        "status": (job.status, job.exit_code),
        "attempts": list(job.attempts.values_list("number", "outcome", "logs_complete")),
        "starts": starts,
        "runs": runs,
        "log": log_of(job),
    }
    wanted = {
        "status": ("failed", 3),
        "attempts": [(1, "user", True)],
        "starts": Counter({"1": 1}),
        "runs": Counter({"1": 1}),
        "log": OUTPUT,
    }
    return [f"{name} is {found[name]}, not {wanted[name]}" for name in wanted if found[name] != wanted[name]]


def test_a_worker_killed_at_any_step_leaves_one_run_one_result_and_the_whole_log(bench: Bench) -> None:
    wrong = wrong_after_kills(bench, STEPS, SCRIPT)
    assert not wrong, "\n".join(f"{name}: {'; '.join(found)}" for name, found in wrong.items())


def test_it_leaves_the_same_of_a_job_that_exits_at_once(bench: Bench) -> None:
    wrong = wrong_after_kills(bench, STEPS_OF_SHORT, SHORT_SCRIPT)
    assert not wrong, "\n".join(f"{name}: {'; '.join(found)}" for name, found in wrong.items())


def wrong_after_kills(bench: Bench, names: Iterable[str], script: str) -> dict[str, list[str]]:
    """Kill the holder at each step, of a job each."""
    wrong: dict[str, list[str]] = {}
    with supervising.running("supervise", "--poll-interval", "1", database_url=bench.database_url) as command:
        for name in names:
            step = STEPS[name]
            victim = bench.holder()
            trap = step.trap(lambda victim=victim: os.kill(victim, signal.SIGKILL))
            bench.tap(step.on).set(trap)
            job = bench.submit(script, name=name)
            if not trap.snapped.wait(20):
                wrong[name] = ["was not reached"]
            elif found := wrong_with(bench, job):
                wrong[name] = found
            command.signal(signal.SIGHUP)  # else each death makes the next restart wait longer
        bench.wait_until_empty()
    return wrong


def sleep_over_the_lease(bench: Bench, name: str, *, rival_ends_it: bool) -> list[str]:
    """Freeze the holder at the step, with its message held; let a rival take the host; wake the sleeper."""
    step, sleeper, awake = STEPS[name], bench.holder(), threading.Event()

    def freeze() -> None:
        os.kill(sleeper, signal.SIGSTOP)
        awake.wait(60)

    trap = step.trap(freeze)
    bench.tap(step.on).set(trap)
    job = bench.submit(SCRIPT, name=name)
    try:
        if not trap.snapped.wait(20):
            return ["was not reached"]
        epoch = expire_lease(bench.host)
        taken = HostLease.objects.filter(host=bench.host, epoch__gt=epoch)
        wait_until(taken.exists, timeout_seconds=40, what="the rival to take the host")
        if rival_ends_it and (found := wrong_with(bench, job)):
            return found
    finally:
        # The late message first, so that it is delivered whatever its sender does next.
        awake.set()
        os.kill(sleeper, signal.SIGCONT)
    return wrong_with(bench, job)


def wrong_with_sleepers(bench: Bench, cases: Iterable[tuple[str, bool]]) -> dict[str, list[str]]:
    """Play the cases (a step, and whether the rival has ended the job before the sleeper wakes)."""
    wrong: dict[str, list[str]] = {}
    start = ("supervise", "--poll-interval", "1")
    # What has ended stays: a start that comes late would find it, and run it again.
    kept = {"TALLYMAN_RETENTION_HOURS": "1"}
    with (
        supervising.running(*start, database_url=bench.database_url, **kept) as one,
        supervising.running(*start, database_url=bench.database_url, **kept) as other,
    ):
        for name, rival_ends_it in cases:
            if found := sleep_over_the_lease(bench, name, rival_ends_it=rival_ends_it):
                wrong[f"{name}, {'rival ends it' if rival_ends_it else 'rival begins'}"] = found
            for command in (one, other):
                command.signal(signal.SIGHUP)
        log = one.log + other.log
    # Again in the end: what was delivered late may have started something after its own look.
    for job, count in (bench.starts.starts + bench.counter.runs).items():
        if count != 2:
            wrong.setdefault(f"job {job}", []).append(f"was started and ran {count} times in all, not 1 + 1")
    # Somebody woke late, and was told so.
    assert "lease lost" in log or "not ours any more" in log
    return wrong


def test_a_worker_that_sleeps_over_its_lease_at_any_step_changes_nothing_when_it_wakes(bench: Bench) -> None:
    steps = [name for name in STEPS if name not in IN_TRANSACTION and STEPS[name].message != REMOVE]
    wrong = wrong_with_sleepers(bench, zip(steps, itertools.cycle((False, True)), strict=False))
    assert not wrong, "\n".join(f"{name}: {'; '.join(found)}" for name, found in wrong.items())


@pytest.mark.soak
def test_it_changes_nothing_whatever_its_rival_has_done_and_whatever_locks_it_held(bench: Bench) -> None:
    steps = [name for name in STEPS if STEPS[name].message != REMOVE]
    wrong = wrong_with_sleepers(bench, itertools.product(steps, (True, False)))
    assert not wrong, "\n".join(f"{name}: {'; '.join(found)}" for name, found in wrong.items())

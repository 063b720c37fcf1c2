"""The rows of processes: what is read of whom, and whose rows stay."""

from __future__ import annotations

import os
import uuid

import pytest

from hosts import identity
from supervisor import processes
from supervisor.models import Role, SupervisorProcess
from supervisor.processes import Known
from tests.support.factories import make_host

pytestmark = pytest.mark.django_db

SUPERVISOR = uuid.UUID(int=7)


def me(**changes: object) -> Known:
    mine = {"role": Role.WORKER, "pid": os.getpid(), "start_ticks": identity.current().start_ticks}
    return Known(**{**mine, **changes})


def test_a_process_is_read() -> None:
    assert processes.beat(SUPERVISOR, [me()])[os.getpid()] > 0
    row = SupervisorProcess.objects.get()
    assert row.rss_bytes >= row.uss_bytes > 0
    assert row.open_files > 2
    assert row.threads >= 1
    assert row.cpu_seconds > 0


def test_of_a_pid_that_is_anothers_by_now_nothing_is_read() -> None:
    assert processes.beat(SUPERVISOR, [me(start_ticks=1)]) == {}
    row = SupervisorProcess.objects.get()
    assert (row.rss_bytes, row.uss_bytes, row.cpu_seconds, row.open_files) == (None, None, None, None)
    assert row.identity.is_proved_dead()


def test_a_child_that_got_the_pid_of_an_earlier_one_has_a_row_of_its_own() -> None:
    processes.beat(SUPERVISOR, [me(start_ticks=1)])
    before = SupervisorProcess.objects.get()
    processes.beat(SUPERVISOR, [me()])
    after = SupervisorProcess.objects.get()
    assert after.pk != before.pk
    assert after.started_at > before.started_at


def test_the_rows_of_processes_that_are_not_named_any_more_go_and_those_of_others_stay() -> None:
    other = uuid.UUID(int=8)
    processes.beat(other, [me()])
    processes.beat(SUPERVISOR, [me(), me(role=Role.CLERK, pid=1, start_ticks=2)])
    processes.beat(SUPERVISOR, [me()])
    assert sorted(SupervisorProcess.objects.values_list("supervisor", "role")) == [
        (SUPERVISOR, Role.WORKER),
        (other, Role.WORKER),
    ]


def test_a_worker_that_is_down_keeps_what_it_died_of() -> None:
    host = make_host("here")
    now = identity.boot_clock()
    down = me(
        start_ticks=1,
        host_id=host.pk,
        state="crash-looping",
        restarts=6,
        last_exit="exit code 70: ValueError: \0 is no name" + "x" * 1000,
        exit_clock=now - 10,
        failing_clock=now - 60,
        is_crash_looping=True,
    )
    processes.beat(SUPERVISOR, [down])
    row = SupervisorProcess.objects.get()
    assert (row.state, row.restarts, row.is_crash_looping) == ("crash-looping", 6, True)
    assert row.last_exit.startswith("exit code 70: ValueError: ")
    assert 49 < (row.last_exit_at - row.failing_since_at).total_seconds() < 51
    assert (row.jobs_held, row.rss_bytes) == (0, None)


def test_a_living_process_whose_pid_a_dead_one_had_is_the_one_that_is_shown() -> None:
    host = make_host("here")
    processes.beat(SUPERVISOR, [me(state="running"), me(start_ticks=1, host_id=host.pk, state="parked")])
    assert SupervisorProcess.objects.get().state == "running"

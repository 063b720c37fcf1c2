"""What a worker was at when it died, as another process reads it."""

from __future__ import annotations

import os
import signal
import threading
import uuid
import warnings
from collections.abc import Callable

import pytest
from django.db import DataError, InterfaceError, OperationalError

from hosts.errors import LeaseLost
from supervisor.worker.breadcrumb import NOBODY, Breadcrumbs, Left

ONE, TWO = uuid.uuid4(), uuid.uuid4()


@pytest.fixture
def crumbs() -> Breadcrumbs:
    return Breadcrumbs()


def die_in_a_fork(what: Callable[[], None]) -> int:
    """Run it in a child of this process; how that ended."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads: it takes no lock
        pid = os.fork()
    if not pid:
        try:
            what()
        finally:
            os._exit(70)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_it_names_an_attempt_while_that_is_handled_and_nothing_afterwards(crumbs: Breadcrumbs) -> None:
    assert crumbs.left() == []
    with crumbs.main(ONE):
        assert crumbs.left() == [Left(ONE, threading.get_ident(), raised=False)]
    assert crumbs.left() == []


def test_the_main_thread_and_the_log_pump_leave_one_each(crumbs: Breadcrumbs) -> None:
    with crumbs.logs(TWO), crumbs.main(ONE):
        assert [left.attempt_id for left in crumbs.left()] == [ONE, TWO]


def test_work_for_no_attempt_names_none(crumbs: Breadcrumbs) -> None:
    with crumbs.main(NOBODY):
        assert crumbs.left() == []


@pytest.mark.process
def test_it_outlives_a_killed_process(crumbs: Breadcrumbs) -> None:
    def work() -> None:
        with crumbs.main(ONE):
            os.kill(os.getpid(), signal.SIGKILL)

    assert die_in_a_fork(work) == -signal.SIGKILL
    assert [left.attempt_id for left in crumbs.left()] == [ONE]


@pytest.mark.parametrize("error", [RuntimeError, DataError, KeyError, SystemExit])
def test_an_exception_leaves_the_name_behind(crumbs: Breadcrumbs, error: type[BaseException]) -> None:
    with pytest.raises(error), crumbs.main(ONE):
        raise error
    assert crumbs.left() == [Left(ONE, threading.get_ident(), raised=True)]


@pytest.mark.parametrize("error", [OperationalError, InterfaceError, LeaseLost])
def test_what_a_worker_survives_is_nobodys_fault(crumbs: Breadcrumbs, error: type[Exception]) -> None:
    with pytest.raises(error), crumbs.main(ONE):
        raise error
    assert crumbs.left() == []

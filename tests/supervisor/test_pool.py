"""Threads for steps: as many as there is work at once, up to a limit."""

from __future__ import annotations

import threading
import uuid

import pytest

from supervisor.worker.inbox import Inbox, Wake
from supervisor.worker.pool import StepPool
from supervisor.worker.steps import StepDone
from tests.support.waiting import wait_until

RUN = uuid.uuid4()


class Pooled:
    """A pool, what came of its steps, and a gate that they can be held at."""

    def __init__(self, size: int) -> None:
        self.inbox = Inbox(Wake())
        self.gate = threading.Event()
        self.closed = 0
        self.pool = StepPool(f"test-{uuid.uuid4()}", size, self.inbox, self._close)
        self.done: list[StepDone] = []

    def _close(self) -> None:
        self.closed += 1

    @property
    def threads(self) -> int:
        return sum(thread.name.startswith(self.pool._name) for thread in threading.enumerate())

    def wait_for(self, count: int) -> list[str]:
        def enough() -> bool:
            self.done += self.inbox.take()
            return len(self.done) >= count

        wait_until(enough)
        return [done.step for done in self.done]


def test_there_is_no_thread_before_there_is_a_step() -> None:
    pooled = Pooled(4)
    assert pooled.threads == 0
    pooled.pool.submit(RUN, "ONE", lambda: None)
    assert pooled.wait_for(1) == ["ONE"]
    assert pooled.threads == 1


def test_steps_one_after_the_other_share_a_thread() -> None:
    pooled = Pooled(4)
    for number in range(1, 6):
        pooled.pool.submit(RUN, str(number), lambda: None)
        pooled.wait_for(number)
        wait_until(lambda: pooled.pool._free._value == 1)
    assert pooled.threads == 1


def test_a_step_that_hangs_holds_up_none_of_the_others() -> None:
    pooled = Pooled(2)
    pooled.pool.submit(RUN, "HANGS", pooled.gate.wait)
    for number in range(5):
        pooled.pool.submit(RUN, str(number), lambda: None)
    assert pooled.wait_for(5) == ["0", "1", "2", "3", "4"]
    assert pooled.threads == 2
    pooled.gate.set()
    assert pooled.wait_for(6)[-1] == "HANGS"


@pytest.mark.parametrize("started", [0, 3])
def test_every_thread_that_was_started_closes_its_client_in_the_end(started: int) -> None:
    pooled = Pooled(4)
    for number in range(started):
        pooled.pool.submit(RUN, str(number), pooled.gate.wait)
    assert pooled.threads == started
    pooled.pool.stop()
    pooled.gate.set()
    wait_until(lambda: pooled.closed == started and pooled.threads == 0)
    assert len(pooled.wait_for(started)) == started

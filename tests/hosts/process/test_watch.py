"""The end of a job is noticed at once."""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from hosts.executors.contract import Hint
from tests.hosts.process.support import FOREVER, Bench, job_view

pytestmark = pytest.mark.process


class Listener:
    """A thread that listens, as a worker has one."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._hints: queue.Queue[Hint] = queue.Queue()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def next(self) -> Hint:
        return self._hints.get(timeout=5)

    def stop(self) -> float:
        """How many seconds it took to return."""
        began = time.monotonic()
        self._stop.set()
        self._thread.join(5)
        return time.monotonic() - began

    def _listen(self) -> None:
        for hint in self._bench.executor.watch(self._stop):
            self._hints.put(hint)


@pytest.fixture
def listener(bench: Bench) -> Iterator[Listener]:
    listener = Listener(bench)
    yield listener
    listener.stop()


def test_it_connects_first_and_stops_within_a_second(listener: Listener) -> None:
    first = listener.next()

    assert (first.container_id, first.action) == (None, "connected")
    assert listener.stop() < 1


def test_the_end_of_a_job_started_meanwhile_is_told(bench: Bench, listener: Listener) -> None:
    listener.next()
    job = job_view("true")
    container_id = bench.executor.create(job).container_id
    bench.executor.start(container_id)

    hint = listener.next()

    assert (hint.container_id, hint.action, hint.job) == (container_id, "die", str(job.id))
    assert bench.observe(container_id).state == "exited"


def test_the_end_of_a_job_that_ran_before_is_told(bench: Bench) -> None:
    container_id = bench.start(FOREVER)
    listener = Listener(bench)
    listener.next()
    bench.executor.signal(container_id, "TERM")

    hint = listener.next()
    listener.stop()

    assert hint.container_id == container_id
    assert bench.observe(container_id).exit_code == 143


def test_the_death_of_a_shim_is_told_once_the_job_is_dead_too(bench: Bench, listener: Listener) -> None:
    listener.next()
    container_id = bench.start(FOREVER)
    os.kill(bench.processes_of(container_id).shim_pid, signal.SIGKILL)

    assert listener.next().container_id == container_id
    assert bench.observe(container_id).state == "exited"


def test_a_start_after_the_end_of_the_watch_tells_nobody(bench: Bench, listener: Listener) -> None:
    listener.next()
    listener.stop()

    assert bench.ended(bench.start("true")).exit_code == 0

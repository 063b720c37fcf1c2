"""Threads that take steps off a queue and put the answers into the worker's inbox."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID

import structlog

from hosts.errors import ExecutorFailed, TallymanError
from hosts.masking import mask_text
from supervisor.worker.inbox import Inbox
from supervisor.worker.steps import StepDone

logger = structlog.get_logger(__name__)
Task = tuple[UUID, str, Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class StepPool:
    """A few threads, all alike. An engine that hangs holds up its own worker's threads and nobody else's.

    A thread is started when there is work that no other is free for: an idle worker has few.
    """

    def __init__(self, name: str, size: int, inbox: Inbox, close_client: Callable[[], None]) -> None:
        self._name, self._size = name, size
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._free = threading.Semaphore(0)  # one for each thread that is done with what it took
        self._inbox = inbox
        self._close_client = close_client
        self._threads: list[threading.Thread] = []

    def submit(self, run_id: UUID, step: str, call: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Do `call(*args)` on a thread; exactly one StepDone comes of it. For the main thread."""
        self._tasks.put((run_id, step, call, args, kwargs))
        if len(self._threads) < self._size and not self._free.acquire(blocking=False):
            name = f"{self._name}-{len(self._threads)}"
            self._threads.append(threading.Thread(target=self._work, name=name, daemon=True))
            self._threads[-1].start()

    def stop(self) -> None:
        """Let the threads end after the step they are in; does not wait for them."""
        for _ in self._threads:
            self._tasks.put(None)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            done = _done(task)
            # Nothing waits for a removal: it is taken with the next answer, or a little later.
            self._inbox.put(done, wake=done.step != "REMOVE" or done.error is not None)
            self._free.release()
        self._close_client()


def _done(task: Task) -> StepDone:
    run_id, step, call, args, kwargs = task
    try:
        return StepDone(run_id, step, result=call(*args, **kwargs))
    except TallymanError as exc:
        return StepDone(run_id, step, error=exc)
    except (Exception, SystemExit) as exc:  # somebody else's executor may raise anything; the thread lives on
        logger.exception("step crashed", step=step, attempt_id=str(run_id))
        reason = mask_text(f"The executor failed ({step.lower()}): {type(exc).__name__}: {exc}")
        return StepDone(run_id, step, error=ExecutorFailed(reason))

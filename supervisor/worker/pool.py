"""Threads that take steps off a queue and put the answers into the worker's inbox."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID

import structlog

from hosts.errors import ConfigurationError, EngineError
from supervisor.worker.inbox import Inbox
from supervisor.worker.steps import StepDone

logger = structlog.get_logger(__name__)
Task = tuple[UUID, str, Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class StepPool:
    """A few threads, all alike. An engine that hangs holds up its own worker's threads and nobody else's."""

    def __init__(self, name: str, size: int, inbox: Inbox, close_client: Callable[[], None]) -> None:
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._inbox = inbox
        self._close_client = close_client
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True)
            for number in range(size)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, run_id: UUID, step: str, call: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Do `call(*args)` on a thread; exactly one StepDone comes of it."""
        self._tasks.put((run_id, step, call, args, kwargs))

    def stop(self) -> None:
        """Let the threads end after the step they are in; does not wait for them."""
        for _ in self._threads:
            self._tasks.put(None)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            done = _done(task)
            # Nothing waits for a removal: it is taken with the next answer, or a little later.
            self._inbox.put(done, wake=done.step != "REMOVE" or done.error is not None)
        self._close_client()


def _done(task: Task) -> StepDone:
    run_id, step, call, args, kwargs = task
    try:
        return StepDone(run_id, step, result=call(*args, **kwargs))
    except (EngineError, ConfigurationError) as exc:
        return StepDone(run_id, step, error=exc)
    except Exception as exc:  # an executor of somebody else's may raise anything; it must not end the thread
        logger.exception("step crashed", step=step, attempt=str(run_id))
        return StepDone(run_id, step, error=exc)

"""Two threads that only tell: one what the engine's events hint at, one what running containers use."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from uuid import UUID

import structlog

from hosts.errors import EngineError
from hosts.executors.contract import ContainerExecutor, Hint, Usage
from jobs import usage as usage_rows
from supervisor.worker.inbox import Inbox

logger = structlog.get_logger(__name__)

_RECONNECT_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
SAMPLE_EVERY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class UsageRead:
    """One reading of a run's container."""

    run_id: UUID
    usage: Usage


class Watcher:
    """Follows the engine's events for ever; hints go to the inbox, and a lost connection is made again."""

    def __init__(self, executor: ContainerExecutor, inbox: Inbox) -> None:
        self._executor, self._inbox = executor, inbox
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end; it does within a second."""
        self._stop.set()

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                for hint in self._executor.watch(self._stop):
                    failures = 0
                    self._hint(hint)
            except EngineError as exc:
                logger.debug("events lost", reason=str(exc))
            except Exception:  # hints may fail; the regular look finds everything without them
                logger.exception("events crashed")
            if not self._stop.is_set():
                self._hint(Hint(container_id=None, action="disconnected"))
                self._stop.wait(_RECONNECT_SECONDS[min(failures, len(_RECONNECT_SECONDS) - 1)])
                failures += 1

    def _hint(self, hint: Hint) -> None:
        # Each action apart: a memory kill must not vanish behind the exit that follows it.
        self._inbox.put_latest((hint.container_id, hint.action), hint)


class Sampler:
    """Reads what containers use, one after the other, each every few seconds and soon after its start."""

    def __init__(self, executor: ContainerExecutor, inbox: Inbox) -> None:
        self._executor, self._inbox = executor, inbox
        self._due: dict[UUID, float] = {}
        self._containers: dict[UUID, str] = {}
        self._complained: set[UUID] = set()
        self._changed = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="usage", daemon=True)
        self._thread.start()

    def watch(self, run_id: UUID, container_id: str) -> None:
        """Read this container from now on; again and again is the same as once."""
        if run_id in self._containers:
            return
        self._containers[run_id] = container_id
        self._due[run_id] = time.monotonic()
        self._changed.set()

    def forget(self, run_id: UUID) -> None:
        """Read it no more."""
        self._containers.pop(run_id, None)
        self._due.pop(run_id, None)
        self._complained.discard(run_id)

    def stop(self) -> None:
        """Ask the thread to end after the reading it is in."""
        self._stopping = True
        self._changed.set()

    def _run(self) -> None:
        while not self._stopping:
            run_id, due = min(self._due.copy().items(), key=lambda item: item[1], default=(None, None))
            wait = None if due is None else due - time.monotonic()
            if run_id is None or (wait is not None and wait > 0):
                self._changed.wait(wait)
                self._changed.clear()
                continue
            self._read(run_id)
            if run_id in self._due:
                self._due[run_id] = time.monotonic() + SAMPLE_EVERY_SECONDS

    def _read(self, run_id: UUID) -> None:
        container_id = self._containers.get(run_id)
        if container_id is None:
            return
        try:
            reading = self._executor.usage(container_id)
        except EngineError as exc:
            logger.debug("usage not read", reason=str(exc), attempt=str(run_id))
            return
        except Exception:  # a reading may fail; the next one may not
            logger.exception("usage crashed", attempt=str(run_id))
            return
        if reading is None:
            return
        usage, left_out = usage_rows.storable(reading)
        if left_out and run_id not in self._complained:
            self._complained.add(run_id)
            logger.warning("measures of a container left out", attempt=str(run_id), columns=left_out)
        self._inbox.put_latest((UsageRead, run_id), UsageRead(run_id, usage))

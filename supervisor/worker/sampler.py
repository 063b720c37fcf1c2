"""A few threads that read what running containers use, and take it into their totals.

Nothing piles up here: of each run there are its totals and its newest reading, whether or not anybody comes
for them. So a database that is away for an hour costs no memory, and no peak of that hour is missed.
"""

from __future__ import annotations

import copy
import threading
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from uuid import UUID

import structlog

from hosts.errors import EngineError, ExecutorFailed
from hosts.executors.contract import ContainerExecutor, Usage
from jobs.measures import UsageTotals
from jobs.usage import storable

logger = structlog.get_logger(__name__)

THREADS = 4  # an engine may take a second for a reading: 20 containers are read every 5 s all the same
_EVERY_SECONDS = 5.0
_SOONEST_SECONDS = 0.1
_SHARE_OF_THE_RUN = 0.1  # a short run is read more often: what its last reading misses is a small part of it
_SHARE_OF_THE_TIME = 0.05  # of a thread, for one container in the first seconds
_DEAREST_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class UsageRead:
    """The newest reading of a run's container, and what all of them come to."""

    run_id: UUID
    usage: Usage
    totals: UsageTotals


@dataclass(slots=True)
class _Target:
    run_id: UUID
    container_id: str
    totals: UsageTotals
    since: float = field(default_factory=time.monotonic)
    due: float = field(default_factory=time.monotonic)
    newest: Usage | None = None
    busy: bool = False
    complained: bool = False
    in_vain: int = 0

    def gap(self, took_seconds: float) -> float:
        """How long to wait before the next reading."""
        if self.in_vain:
            return min(_EVERY_SECONDS, _SOONEST_SECONDS * 2.0**self.in_vain)
        share = _SHARE_OF_THE_RUN * (time.monotonic() - self.since)
        dear = min(_DEAREST_SECONDS, took_seconds / _SHARE_OF_THE_TIME)
        return min(_EVERY_SECONDS, max(_SOONEST_SECONDS, share, dear))


class Sampler:
    """Reads each container soon after its start, often at first, and then every few seconds."""

    def __init__(self, executor: ContainerExecutor) -> None:
        self._executor = executor
        self._targets: dict[UUID, _Target] = {}
        self._changed = threading.Condition()
        self._turn = threading.Lock()  # held by the one thread that waits for what is due next
        self._stopping = False
        for number in range(THREADS):
            threading.Thread(target=self._run, name=f"usage-{number}", daemon=True).start()

    def watch(self, run_id: UUID, container_id: str, totals: UsageTotals) -> None:
        """Read this container from now on, beginning with these totals; again and again is as once."""
        if run_id in self._targets:
            return
        with self._changed:
            self._targets[run_id] = _Target(run_id, container_id, copy.copy(totals))
            self._changed.notify()

    def forget(self, run_id: UUID) -> None:
        """Read it no more."""
        with self._changed:
            self._targets.pop(run_id, None)

    def take(self) -> list[UsageRead]:
        """What was read since this was called last: the newest of each run."""
        taken = []
        with self._changed:
            for target in self._targets.values():
                if target.newest is not None:
                    taken.append(UsageRead(target.run_id, target.newest, copy.copy(target.totals)))
                    target.newest = None
        return taken

    def stop(self) -> None:
        """Ask the threads to end after the reading they are in."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def _run(self) -> None:
        while (target := self._next()) is not None:
            began = time.monotonic()
            usage = self._read(target)
            now = time.monotonic()
            with self._changed:
                target.in_vain = 0 if usage else target.in_vain + 1
                if usage:
                    target.totals.add(usage)
                    target.newest = usage
                target.due = now + target.gap(now - began)
                target.busy = False
                self._changed.notify()
        self._executor.close()

    def _next(self) -> _Target | None:
        """Wait for what is due next; None: it is time to end."""
        with self._turn, self._changed:
            while not self._stopping:
                idle = (target for target in self._targets.values() if not target.busy)
                target = min(idle, key=lambda one: one.due, default=None)
                wait = None if target is None else target.due - time.monotonic()
                if target is not None and wait is not None and wait <= 0:
                    target.busy = True
                    return target
                self._changed.wait(wait)
        return None

    def _read(self, target: _Target) -> Usage | None:
        try:
            read = self._executor.usage(target.container_id)
            if not isinstance(read, Usage | None):
                raise ExecutorFailed(f"usage gave {read!r}, which is no Usage.")
        except EngineError as exc:
            logger.debug("usage not read", reason=str(exc), attempt_id=str(target.run_id))
            return None
        except Exception:  # a reading may fail; the next one may not
            logger.exception("usage crashed", attempt_id=str(target.run_id))
            return None
        if read is None:
            return None
        usage, left_out = storable(read)
        if left_out and not target.complained:
            target.complained = True
            logger.warning(
                "measures of a container left out", attempt_id=str(target.run_id), columns=left_out
            )
        return replace(usage, at=datetime.now(UTC)) if usage.at is None else usage


class SamplerOnDemand:
    """A sampler whose threads there are from the first container on: an idle worker has none to read."""

    def __init__(self, executor: ContainerExecutor) -> None:
        self._executor = executor
        self._sampler: Sampler | None = None

    def watch(self, run_id: UUID, container_id: str, totals: UsageTotals) -> None:
        """As of the sampler."""
        self._sampler = self._sampler or Sampler(self._executor)
        self._sampler.watch(run_id, container_id, totals)

    def forget(self, run_id: UUID) -> None:
        """As of the sampler."""
        if self._sampler:
            self._sampler.forget(run_id)

    def take(self) -> list[UsageRead]:
        """As of the sampler."""
        return self._sampler.take() if self._sampler else []

    def stop(self) -> None:
        """As of the sampler."""
        if self._sampler:
            self._sampler.stop()

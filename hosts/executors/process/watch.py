"""Notice at once when a job ends: a pidfd of every shim in one selector."""

from __future__ import annotations

import os
import selectors
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from hosts.executors.contract import LABEL_PREFIX, Hint
from hosts.executors.process.store import Folder, Phase
from hosts.executors.stop import descriptor_of
from hosts.identity import start_ticks

_STOP_IS_SEEN_WITHIN_SECONDS = 0.5  # where it has to be looked for
_LOOK_AGAIN_AFTER_SECONDS = 0.1


class Watcher:
    """Yields a hint for every job that ends. `tell` may be called from any thread, the rest from one."""

    def __init__(self) -> None:
        self._told: deque[Folder] = deque()
        self._poke = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poke_lock = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._poke, selectors.EVENT_READ)
        self._watched: dict[int, _Job] = {}  # by pidfd
        self._dying: list[_Job] = []
        self._stop = -1

    def tell(self, folder: Folder) -> None:
        """A job was started."""
        self._told.append(folder)
        with self._poke_lock:
            if self._poke >= 0:
                os.eventfd_write(self._poke, 1)

    def run(self, folders: Iterable[Folder], stop: threading.Event) -> Iterator[Hint]:
        """Watch these, and every one told of, until `stop`."""
        self._stop = descriptor_of(stop)
        if self._stop >= 0:
            self._selector.register(self._stop, selectors.EVENT_READ)
        for folder in folders:
            self._watch(folder)
        yield Hint(container_id=None, action="connected")
        while not stop.is_set():
            yield from self._turn()

    def close(self) -> None:
        with self._poke_lock:
            os.close(self._poke)
            self._poke = -1
        self._selector.close()
        for pidfd in self._watched:
            os.close(pidfd)
        self._watched.clear()

    def _turn(self) -> Iterator[Hint]:
        patience = None if self._stop >= 0 else _STOP_IS_SEEN_WITHIN_SECONDS
        for key, _ in self._selector.select(_LOOK_AGAIN_AFTER_SECONDS if self._dying else patience):
            if key.fd == self._poke:
                self._take_told()
            elif key.fd != self._stop:
                self._selector.unregister(key.fd)
                os.close(key.fd)
                self._dying.append(self._watched.pop(key.fd))
        yield from self._ended()

    def _take_told(self) -> None:
        os.eventfd_read(self._poke)
        while self._told:
            self._watch(self._told.popleft())

    def _watch(self, folder: Folder) -> None:
        job = _Job.of(folder)
        if job is None:
            return
        pidfd = job.open()
        if pidfd is None:
            self._dying.append(job)
        else:
            self._watched[pidfd] = job
            self._selector.register(pidfd, selectors.EVENT_READ)

    def _ended(self) -> Iterator[Hint]:
        # The job of a shim that was killed holds the lock a moment longer; so long it counts as running.
        dying, self._dying = self._dying, []
        for job in dying:
            if job.is_running():
                self._dying.append(job)
            else:
                yield Hint(container_id=job.container_id, action="die", at=datetime.now(UTC), job=job.label)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    folder: Folder
    container_id: str
    label: str
    shim_pid: int
    shim_ticks: int

    @classmethod
    def of(cls, folder: Folder) -> Self | None:
        """The job of the folder; None if it has not started, or is gone."""
        spec, run = folder.spec(), folder.run()
        if spec is None or run is None:
            return None
        return cls(
            folder=folder,
            container_id=spec.id,
            label=spec.labels.get(LABEL_PREFIX + "job", ""),
            shim_pid=run.shim_pid,
            shim_ticks=run.shim_ticks,
        )

    def open(self) -> int | None:
        """A pidfd of the shim, or None if it is gone."""
        try:
            pidfd = os.pidfd_open(self.shim_pid)
        except ProcessLookupError:
            return None
        if start_ticks(self.shim_pid) == self.shim_ticks:
            return pidfd
        os.close(pidfd)
        return None

    def is_running(self) -> bool:
        return self.folder.phase() is Phase.RUNNING and self.folder.holds(self.container_id)

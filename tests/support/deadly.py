"""An engine whose answers about one job kill the worker that reads them, as a bug in a library would.

`DEADLY_JOB` is the job's id, `DEADLY_STEP` what must not be read (create, observe, log), `DEADLY_HOW` what
comes of it: `segv`, `raise`, or `hang` for ever (the first time only: it leaves the file `DEADLY_MARK`).
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import os
import threading
import time
from typing import Any

from hosts.executors.contract import JobView, Observation
from hosts.executors.log_source import LogSource, Resume
from hosts.executors.process import ProcessExecutor


def _die() -> None:
    if os.environ["DEADLY_HOW"] == "segv":
        ctypes.string_at(0)
    if os.environ["DEADLY_HOW"] == "hang":
        _hang_once()
        return
    raise RuntimeError("this answer cannot be read")


def _hang_once() -> None:
    with contextlib.suppress(FileExistsError), open(os.environ["DEADLY_MARK"], "x"):
        while True:
            time.sleep(60)


class DeadlyObservation(Observation):
    """Harmless on the engine's threads, as an answer is before anybody makes sense of it."""

    def __getattribute__(self, name: str) -> Any:
        if threading.current_thread() is threading.main_thread():
            _die()
        return super().__getattribute__(name)


class DeadlySource:
    """A log that nobody should read."""

    def fileno(self) -> int:
        return -1

    def read(self, _budget: int) -> bytes | None:
        _die()
        return None

    def close(self) -> None:
        pass


class DeadlyExecutor(ProcessExecutor):
    """See the module."""

    def create(self, job: JobView) -> Observation:
        return self._perhaps("create", super().create(job))

    def observe(self, ref: str) -> Observation | None:
        seen = super().observe(ref)
        return seen and self._perhaps("observe", seen)

    def open_log(self, container_id: str, resume: Resume, *, follow: bool) -> LogSource:
        seen = super().observe(container_id)
        if seen and self._is_deadly("log", seen):
            return DeadlySource()
        return super().open_log(container_id, resume, follow=follow)

    def _perhaps(self, step: str, seen: Observation) -> Observation:
        if not self._is_deadly(step, seen):
            return seen
        values = {field.name: getattr(seen, field.name) for field in dataclasses.fields(seen)}
        return DeadlyObservation(**values)

    def _is_deadly(self, step: str, seen: Observation) -> bool:
        return os.environ["DEADLY_STEP"] == step and seen.label("job") == os.environ["DEADLY_JOB"]

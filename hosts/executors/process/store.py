"""The folder of one job: what lies in it, and what that says about the job.

One rule holds against every race: a folder's id never comes back, so what was read between two reads of
the same id belongs to one job. Nothing here waits.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

from hosts.executors.contract import ContainerState, Observation
from hosts.executors.process import refusals
from hosts.executors.process.shim import files


class Phase(Enum):
    """How far a job got."""

    CREATED = "created"  # nothing ran, and it may be started
    REVOKED = "revoked"  # nothing ran, and nothing will: it is being removed
    REFUSED = "refused"  # nothing ran: the command could not be executed
    RUNNING = "running"
    EXITED = "exited"
    VANISHED = "vanished"  # it ran, is gone, and nothing wrote down how it ended

    @property
    def is_over(self) -> bool:
        """True if the streams will not grow any more."""
        return self in {Phase.REFUSED, Phase.EXITED, Phase.VANISHED, Phase.REVOKED}


_STATES: dict[Phase, ContainerState] = {
    Phase.CREATED: "created",
    Phase.REVOKED: "created",
    Phase.REFUSED: "created",  # as Docker shows a container whose command was not found
    Phase.RUNNING: "running",
    Phase.EXITED: "exited",
    Phase.VANISHED: "exited",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """`spec.json`: what to run. The environment is kept apart from it, because it does not stay."""

    id: str
    name: str
    labels: Mapping[str, str]
    command: tuple[str, ...]
    directory: str
    memory_limit: int | None  # MB
    cpu_limit: float | None  # cores


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """`run.json`: who runs the job, and since when."""

    shim_pid: int
    shim_ticks: int
    job_pid: int
    job_ticks: int
    boot_id: str
    pid_namespace: str
    started_at: str


class Folder:
    """One job's folder. Reading it says None once it is gone, even half-way."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def name(self) -> str:
        return self.path.name

    def spec(self) -> Spec | None:
        """What the folder is for; None if there is no folder, or not one of ours."""
        content = _read(self.path / files.SPEC)
        return Spec(**_known(Spec, content, command=tuple(content["command"]))) if content else None

    def run(self) -> Run | None:
        """Who runs or ran the job; None if it never started."""
        content = _read(self.path / files.RUN)
        return Run(**_known(Run, content)) if content else None

    def end(self) -> dict[str, Any] | None:
        """`exit.json`, or None while there is none."""
        return _read(self.path / files.EXIT)

    def phase(self) -> Phase:
        """How far the job got; of a folder that vanishes meanwhile, anything."""
        run = _read(self.path / files.RUN)
        if run is None:
            return Phase.CREATED
        if not run:
            return Phase.REVOKED
        # The lock is read before the end, which is written before the lock is let go.
        alive = self._is_locked()
        end = self.end()
        if end is None:
            return Phase.RUNNING if alive else Phase.VANISHED
        return Phase.REFUSED if "refusal" in end else Phase.EXITED

    def observe(self, *, fresh: bool = False) -> Observation | None:
        """The job as a container; None if the folder is gone."""
        spec = self.spec()
        if spec is None:
            return None
        phase, run, end = self.phase(), self.run(), self.end() or {}
        if not self.holds(spec.id):
            return None
        return Observation(
            container_id=spec.id,
            name=spec.name,
            state=_STATES[phase],
            labels=dict(spec.labels),
            exit_code=_exit_code(phase, end),
            started_at=_time(run.started_at) if run and phase is not Phase.REFUSED else None,
            finished_at=_time(end.get("finished_at")),
            error=_error(phase, run, end, spec),
            metadata=self._metadata(run, end),
            fresh=fresh,
        )

    def holds(self, container_id: str) -> bool:
        """Whether this path still leads to the folder with this id."""
        spec = self.spec()
        return spec is not None and spec.id == container_id

    def revoke(self, container_id: str) -> bool:
        """Make sure that the job never starts; False if it did already, or is gone, or is being removed."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            # Through the descriptor: by the second step the name may lead to another job's folder.
            here = Folder(Path(f"/proc/self/fd/{descriptor}"))
            return here.holds(container_id) and here._make_revoked()
        except FileNotFoundError:
            return False
        finally:
            os.close(descriptor)

    def _make_revoked(self) -> bool:
        # On a full disk nothing can be written, and what is to be deleted would never make room.
        mark, ready = str(self.path / files.RUN), self.path / files.REVOKED
        if ready.exists():
            return files.link_once(str(ready), mark)
        return files.make_once(mark, {}, by=secrets.token_hex(8))  # of a version that made none

    def _is_locked(self) -> bool:
        try:
            lock = os.open(self.path / files.LOCK, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            # Shared, so that two who look do not see each other; a keeper takes its lock before there
            # is a run.json, so whoever looks cannot be in its way.
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False

    def _metadata(self, run: Run | None, end: Mapping[str, Any]) -> dict[str, Any]:
        metadata: dict[str, Any] = {"folder": str(self.path)}
        if run:
            metadata["pid"] = run.job_pid
        return metadata | {key: end[key] for key in ("cpu_seconds", "max_rss_bytes") if key in end}


def fill(path: Path, spec: Spec, environment: Mapping[str, str]) -> None:
    """Write everything that a new job's folder holds."""
    files.write_synced(str(path / files.SPEC), asdict(spec))
    files.write_synced(str(path / files.ENVIRONMENT), dict(environment))
    files.write_synced(str(path / files.REVOKED), {})
    for name in (files.LOCK, *files.STREAMS):
        os.close(os.open(path / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    files.sync_folder(str(path))


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return files.read_json(str(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except json.JSONDecodeError as exc:
        raise OSError(errno.EIO, f"is damaged ({exc.msg})", str(path)) from exc


def _known(kind: type[Spec | Run], content: Mapping[str, Any], **changed: Any) -> dict[str, Any]:
    """The fields that this version knows: another one may have written the file."""
    names = {field.name for field in fields(kind)}
    return {key: value for key, value in content.items() if key in names} | changed


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _exit_code(phase: Phase, end: Mapping[str, Any]) -> int | None:
    if phase is Phase.VANISHED:  # its keeper was killed, or the machine ended: nobody saw its end
        return None
    if phase is Phase.REFUSED:
        return refusals.exit_code(end["refusal"])
    return end.get("exit_code")


def _error(phase: Phase, run: Run | None, end: Mapping[str, Any], spec: Spec) -> str:
    if phase is Phase.REFUSED:
        return str(refusals.as_error(end["refusal"], command=spec.command, directory=spec.directory))
    if phase is not Phase.VANISHED or run is None:
        return ""
    if run.boot_id != Path("/proc/sys/kernel/random/boot_id").read_text().strip():
        return "The machine was restarted while it ran, so how it ended is not known."
    return "It was killed together with the process that watched over it, so how it ended is not known."

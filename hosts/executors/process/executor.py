"""The executor for machines without containers: every job is a plain process, under the same contract.

What a process cannot have is left out, and said: images are ignored, a job that asks for networks or a
terminal is refused, there is no file system of its own, and no other user. `memory_limit` bounds the data
segment of each process (RLIMIT_DATA: what it allocates, not what it maps), `cpu_limit`, rounded up, is the
number of CPUs it may run on. Linux only.
"""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import signal
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

import psutil
from django.conf import settings

from hosts.errors import ConfigurationError, ContainerBusy, ContainerExecutionError, DockerConnectionError
from hosts.executors import machine
from hosts.executors.capabilities import Capabilities
from hosts.executors.config_fields import ConfigField
from hosts.executors.contract import (
    ContainerExecutor,
    EngineFacts,
    Hint,
    HostView,
    JobView,
    Observation,
    Usage,
)
from hosts.executors.examining import Step
from hosts.executors.log_source import Resume
from hosts.executors.process import blueprint, configuration, launch, processes, refusals
from hosts.executors.process.logs import FileLog
from hosts.executors.process.root import ProcessRoot
from hosts.executors.process.sightings import Sightings
from hosts.executors.process.store import Folder, Phase, Run, Spec
from hosts.executors.process.watch import Watcher

_CREATE_TRIES = 3


class ProcessExecutor(ContainerExecutor):
    """Jobs as processes of this machine. Use one object for all threads: `watch` hears of its own starts."""

    kind: ClassVar[str] = "process"
    label: ClassVar[str] = "Processes on this machine (no image, no network, no isolation)"
    capabilities: ClassVar[Capabilities] = Capabilities(
        hints=True,
        logs=True,
        live_logs=True,
        usage=True,
        stop=True,
        lists=True,
        signals=True,
        working_directory=True,
        memory_limit=True,
        cpu_limit=True,
    )
    config_fields: ClassVar[tuple[ConfigField, ...]] = configuration.FIELDS

    def __init__(self, host: HostView) -> None:
        super().__init__(host)
        self._root = ProcessRoot(configuration.root_of(host.base_url, host.config))
        self._timeout = configuration.timeout_of(host.config)
        self._sightings = Sightings()
        self._watchers: list[Watcher] = []

    @classmethod
    def validate_config(cls, base_url: str, config: Mapping[str, Any]) -> list[str]:
        """Sentences that say what is wrong with a host's settings; empty when nothing is."""
        return configuration.problems(base_url, config)

    def way_steps(self) -> list[Step]:
        """Whether processes are allowed here, and the folder can be had."""
        hint = "Make the folder, and let the supervisor's user own it; or name another one."
        return [
            Step(name="Processes are allowed", run=self._allowed),
            Step(name="Folder of its jobs", run=self._folder, hint=hint),
        ]

    def _allowed(self) -> str:
        self._require_allowed()
        return "yes"

    def _folder(self) -> str:
        path = self._root.path
        there = next(one for one in (path, *path.parents) if one.exists())
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            raise ConfigurationError(f"{there} is no folder that this user may write to.")
        return str(path) if there == path else f"{path} is to be made"

    def check(self) -> EngineFacts:
        """Who this engine is; ConfigurationError if processes are not allowed here."""
        self._require_allowed()
        with _translated():
            engine_id = self._root.engine_id()
            if not os.access(self._root.path, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self._root.path))
            return EngineFacts(
                engine_id=engine_id,
                version=platform.python_version(),
                cpus=len(os.sched_getaffinity(0)),
                memory_bytes=psutil.virtual_memory().total,
                containers_running=sum(folder.phase() is Phase.RUNNING for folder in self._root.folders()),
                operating_system=f"{platform.system()} {platform.release()}",
                clock_at=datetime.now(UTC),
                **machine.readings(str(self._root.path)),
            )

    def create(self, job: JobView) -> Observation:
        """Make the folder of the job, which is its container, not started."""
        self._require_allowed()
        spec = blueprint.spec_of(self.host, job)
        with _translated():
            self._root.open()
            for _ in range(_CREATE_TRIES):
                folder = self._root.make(spec, blueprint.environment_of(job, spec))
                made = (folder or self._root.named(spec.name)).observe(fresh=folder is not None)
                if made:
                    job.executor_metadata["folder"] = made.metadata["folder"]
                    job.save()
                    return self._sightings.note(made)
        raise ContainerExecutionError(
            f"{self._root.path / spec.name} is in the way, and not the folder of a job.",
            failure_class="name_taken",
            hint="Move it away.",
        )

    def start(self, container_id: str) -> None:
        """Run the job once, ever: a second call returns, or raises what the first one raised."""
        with _translated():
            self._root.open()
            folder, spec = self._require(container_id)
            try:
                launch.start(folder, spec, timeout_seconds=self._timeout)
            finally:
                for watcher in tuple(self._watchers):
                    watcher.tell(folder)

    def observe(self, ref: str) -> Observation | None:
        """The job with this id or name; None only if this root, and no other one, has none."""
        with _translated():
            self._root.open()
            folder = self._root.find(ref)
            seen = folder.observe() if folder else None
            return self._sightings.note(seen) if seen else None

    def list_containers(self) -> list[Observation]:
        """Every job of this installation."""
        with _translated():
            self._root.open()
            self._root.sweep()
            seen = [one for folder in self._root.folders() if (one := folder.observe())]
        installation = str(self.host.installation)
        ours = [self._sightings.note(one) for one in seen if one.label("installation") == installation]
        self._sightings.forget_all_but([one.container_id for one in ours])
        return ours

    def signal(self, container_id: str, name: str) -> None:
        """The signal to the job's first process, KILL to all; no error if it is not running."""
        with _translated():
            self._root.open()
            run = self._running(container_id)
            if run is None:
                return
            processes.require_visible(run)
            if name == "KILL":
                processes.kill(run, container_id)
            else:
                processes.send(run, _signal_named(name))

    def remove(self, container_id: str, *, force: bool = False) -> None:
        """Delete the folder, once nothing of the job runs.

        Without `force`: ContainerBusy if it runs, or has run since this object last showed it as created.
        """
        with _translated():
            self._root.open()
            folder = self._root.with_id(container_id)
            if folder is None:
                return
            if not folder.revoke(container_id):
                self._end_all(folder, container_id, force=force)
            self._root.remove(folder, container_id)
            self._sightings.forget(container_id)

    def open_log(self, container_id: str, resume: Resume, *, follow: bool) -> FileLog:
        """The log after what is stored; DockerConnectionError if the job is gone."""
        with _translated():
            self._root.open()
            folder, _ = self._require(container_id)
            return FileLog(folder, container_id, resume, follow=follow)

    def watch(self, stop: threading.Event) -> Iterator[Hint]:
        """Yield a hint as soon as a job ends that ran at the beginning, or was started by this object."""
        watcher = Watcher()
        self._watchers.append(watcher)
        try:
            with _translated():
                self._root.open()
                running = (folder for folder in self._root.folders() if folder.phase() is Phase.RUNNING)
                yield from watcher.run(running, stop)
        finally:
            self._watchers.remove(watcher)
            watcher.close()

    def usage(self, container_id: str) -> Usage | None:
        """What all processes of the job use together; None if it is not running."""
        with _translated():
            self._root.open()
            run = self._running(container_id)
            return processes.measure(run) if run else None

    def _require(self, container_id: str) -> tuple[Folder, Spec]:
        folder = self._root.with_id(container_id)
        spec = folder.spec() if folder else None
        if folder is None or spec is None:
            raise DockerConnectionError(f"There is no job {container_id} in {self._root.path} (any more).")
        return folder, spec

    def _running(self, container_id: str) -> Run | None:
        """The run of a job that is running now."""
        folder = self._root.with_id(container_id)
        if folder is None or folder.phase() is not Phase.RUNNING:
            return None
        run = folder.run()
        return run if folder.holds(container_id) else None

    def _end_all(self, folder: Folder, container_id: str, *, force: bool) -> None:
        """Make sure that nothing of a started job is left."""
        phase, run = folder.phase(), folder.run()
        if run is None or not folder.holds(container_id) or phase is Phase.REFUSED:
            return
        if self._sightings.is_believed_unstarted(container_id) and not force:
            raise ContainerBusy(f"{folder.name} was started since it was last looked at.")
        if phase is Phase.EXITED:
            return
        if phase is Phase.RUNNING and not force:
            raise ContainerBusy(f"{folder.name} is running.")
        # Nothing buried the job of a shim that was killed: its children may have outlived it.
        processes.require_visible(run)
        processes.kill(run, container_id)
        processes.wait_for_end(run, container_id, timeout_seconds=self._timeout)
        if folder.phase() is Phase.RUNNING or processes.members(container_id):
            raise DockerConnectionError(f"{folder.name} was killed, but lives on after {self._timeout:g} s.")

    @staticmethod
    def _require_allowed() -> None:
        if not settings.TALLYMAN_ALLOW_PROCESS_EXECUTOR:
            raise ConfigurationError(
                "Jobs as plain processes are not allowed here: they can do whatever the worker's user can. "
                "Set TALLYMAN_ALLOW_PROCESS_EXECUTOR to allow them."
            )


def _signal_named(name: str) -> signal.Signals:
    try:
        return signal.Signals[f"SIG{name}"]
    except KeyError:
        raise DockerConnectionError(f"This machine knows no signal SIG{name}.") from None


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """What the file system and the kernel say, in the words of the contract."""
    try:
        yield
    except OSError as exc:
        raise refusals.unusable(f"The process root cannot be used: {exc}.", exc.errno) from exc
    except psutil.Error as exc:
        raise DockerConnectionError(f"The processes cannot be seen: {exc}.") from exc

"""The real commands in processes of their own, and what tests ask of the jobs they run."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from hosts.models import HostLease
from jobs.models import ContainerJob
from jobs.states import ENDED_STATUSES
from supervisor.models import Role, SupervisorProcess
from tests.support.engines import Engine
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]


class Command:
    """One `manage.py` command that runs until it is stopped; its output is in `log`."""

    def __init__(self, *arguments: str, database_url: str, root: Path = ROOT, **environment: str) -> None:
        """`root` is where the code is, by the name that it is called by."""
        self._output = tempfile.NamedTemporaryFile("w+", prefix="tallyman-command-")  # noqa: SIM115 (closed in close)
        self.process = subprocess.Popen(
            [sys.executable, str(root / "manage.py"), *arguments],
            env={
                **os.environ,
                "DATABASE_URL": database_url,
                "LOG_LEVEL": "INFO",
                "PWD": str(root),
                **environment,
            },
            stdout=self._output,
            stderr=subprocess.STDOUT,
            cwd=root,
        )

    @property
    def log(self) -> str:
        """Everything it has written so far."""
        return Path(self._output.name).read_text()

    @property
    def tree(self) -> list[psutil.Process]:
        """The process and all its children."""
        process = psutil.Process(self.process.pid)
        return [process, *process.children(recursive=True)]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the command itself."""
        self.process.send_signal(number)

    def stop(self, timeout_seconds: float = 10.0) -> int:
        """TERM, and its exit code."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.process.wait(timeout_seconds)

    def kill_everything(self) -> None:
        """KILL to the whole tree at once, as when a machine's memory killer has a bad day."""
        tree = self.tree
        for process in tree:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait(10)
        psutil.wait_procs(tree, timeout=10)

    def close(self) -> None:
        """End it whatever its state, and let its log go."""
        if self.process.poll() is None:
            self.kill_everything()
        self._output.close()


@contextlib.contextmanager
def running(*arguments: str, database_url: str, root: Path = ROOT, **environment: str) -> Iterator[Command]:
    """A command that is ended with the block; its log is printed when the block fails."""
    command = Command(*arguments, database_url=database_url, root=root, **environment)
    try:
        yield command
        if command.process.poll() is None:
            command.stop()
    except BaseException:
        print(command.log)
        raise
    finally:
        command.close()


def wait_for_workers(count: int) -> None:
    """Until so many workers are ready and each holds its host: it is ready a moment before that."""
    ready = SupervisorProcess.objects.filter(role=Role.WORKER, state="running")
    holding = HostLease.objects.filter(released_at=None, pid__in=ready.values("pid"))
    wait_until(
        lambda: (ready.count(), holding.count()) == (count, count),
        timeout_seconds=20,
        what=f"{count} ready workers, each with its host",
    )


def wait_for_status(job: ContainerJob, *statuses: str, timeout_seconds: float = 30.0) -> ContainerJob:
    """Until the job's status is one of these; the job as it is then."""

    def reached() -> bool:
        job.refresh_from_db()
        return job.status in statuses

    wait_until(reached, timeout_seconds=timeout_seconds, what=f"job {job} to be {' or '.join(statuses)}")
    return job


def wait_for_all_ended(timeout_seconds: float = 60.0) -> None:
    """Until no job is left that has not ended."""
    unended = ContainerJob.objects.exclude(status__in=ENDED_STATUSES)
    wait_until(lambda: not unended.exists(), timeout_seconds=timeout_seconds, what="every job to end")


class StartCounter:
    """Counts what engines really started, from a live subscription: they forget all but 256 events."""

    def __init__(self, *engines: Engine) -> None:
        self.starts: Counter[tuple[str, str]] = Counter()
        self._streams = [
            engine.api.events(decode=True, filters={"type": "container", "event": "start"})
            for engine in engines
        ]
        for stream in self._streams:
            threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def _read(self, stream: Iterator[dict[str, Any]]) -> None:
        with contextlib.suppress(Exception):  # the stream is cut when the test is over
            for event in stream:
                labels = event["Actor"]["Attributes"]
                self.starts[labels.get("tallyman.job", ""), labels.get("tallyman.attempt", "")] += 1

    def close(self) -> None:
        """Stop counting."""
        for stream in self._streams:
            stream.close()

"""A process host in a folder of its own, and short words for what its tests do."""

from __future__ import annotations

import shlex
import struct
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hosts.executors.contract import (
    HostView,
    JobView,
    Observation,
    TemplateView,
)
from hosts.executors.log_source import LogSource, Resume
from hosts.executors.process import ProcessExecutor
from hosts.executors.process.store import Folder, Run
from tests.support.waiting import wait_until

FOREVER = "sleep 1000"
PYTHON = shlex.quote(sys.executable)


class Bench:
    """One process root, with what a test needs of it."""

    def __init__(self, path: Path, installation: uuid.UUID | None = None) -> None:
        self.root = path
        self.installation = installation or uuid.uuid4()
        self.executor = self.another_executor()

    def another_executor(self, **config: Any) -> ProcessExecutor:
        """As another worker has it."""
        return ProcessExecutor(
            HostView(
                id=uuid.uuid4(),
                name="here",
                executor_type="process",
                base_url="",
                installation=self.installation,
                config={"root": str(self.root), "timeout": 10, **config},
            )
        )

    def create(self, command: str, **options: Any) -> str:
        """The id of a new job."""
        return self.executor.create(job_view(command, **options)).container_id

    def start(self, command: str, **options: Any) -> str:
        """The id of a new job that was started."""
        container_id = self.create(command, **options)
        self.executor.start(container_id)
        return container_id

    def run(self, command: str, **options: Any) -> tuple[Observation, bytes, bytes]:
        """Run a job to its end: how it ended, and what it wrote."""
        container_id = self.start(command, **options)
        seen = self.ended(container_id)
        folder = self.folder(container_id)
        return seen, (folder.path / "stdout").read_bytes(), (folder.path / "stderr").read_bytes()

    def observe(self, container_id: str) -> Observation:
        seen = self.executor.observe(container_id)
        assert seen is not None
        return seen

    def ended(self, container_id: str) -> Observation:
        """Wait for its end."""
        wait_until(lambda: self.observe(container_id).state == "exited", what="the end of the job")
        return self.observe(container_id)

    def folder(self, container_id: str) -> Folder:
        return Folder(Path(self.observe(container_id).metadata["folder"]))

    def processes_of(self, container_id: str) -> Run:
        run = self.folder(container_id).run()
        assert run is not None
        return run

    def said(self, container_id: str, text: bytes) -> None:
        """Wait until the text is in its standard output."""
        stdout = self.folder(container_id).path / "stdout"
        wait_until(lambda: text in stdout.read_bytes(), what=f"{text!r} in the output")


def job_view(
    command: str,
    *,
    name: str = "",
    environment: Mapping[str, str] | None = None,
    directory: str = "",
    memory_limit: int | None = None,
    cpu_limit: float | None = None,
) -> JobView:
    """A job whose command is given as shell words."""
    job = uuid.uuid4()
    return JobView(
        id=job,
        attempt_id=uuid.uuid4(),
        attempt=1,
        epoch=1,
        name="a job",
        container_name=name or f"tallyman-test-{job}",
        template=TemplateView(
            name="a template",
            docker_image="ignored",
            command=command,
            working_directory=directory,
            memory_limit=memory_limit,
            cpu_limit=cpu_limit,
            timeout_seconds=60,
        ),
        command=tuple(shlex.split(command)),
        environment=environment or {},
    )


def python(program: str) -> str:
    """The command that runs a Python program."""
    return f"{PYTHON} -c {shlex.quote(program)}"


def shell(script: str) -> str:
    """The command that runs a shell script."""
    return f"sh -c {shlex.quote(script)}"


def frames(data: bytes) -> list[tuple[int, bytes, bytes]]:
    """Whole frames as (stream, timestamp, payload)."""
    found, at = [], 0
    while at < len(data):
        stream, length = struct.unpack_from(">B3xL", data, at)
        content = data[at + 8 : at + 8 + length]
        assert len(content) == length
        assert content[30:31] == b" "
        found.append((stream, content[:30], content[31:]))
        at += 8 + length
    return found


def payloads(data: bytes) -> tuple[bytes, bytes]:
    """The two streams in whole frames."""
    both = frames(data)
    return b"".join(p for s, _, p in both if s == 1), b"".join(p for s, _, p in both if s == 2)


def read_to_end(source: LogSource, budget: int = 65536) -> bytes:
    """Everything a source gives; it must come to its end."""
    data = b""
    while (block := wait_until_read(source, budget)) is not None:
        data += block
    source.close()
    return data


def wait_until_read(source: LogSource, budget: int = 65536) -> bytes | None:
    """The next block, or None at the end."""
    box: list[bytes | None] = []

    def something() -> bool:
        box.append(source.read(budget))
        return box[-1] != b""

    wait_until(something, what="something to read")
    return box[-1]


def offsets(stdout: int = 0, stderr: int = 0) -> Resume:
    return Resume(stdout_bytes=stdout, stderr_bytes=stderr)

"""Hosts, jobs and containers for tests of executors."""

from __future__ import annotations

import select
import time
import uuid
from collections.abc import Iterator
from typing import Any

from hosts.executors import frames
from hosts.executors.contract import (
    ContainerExecutor,
    HostView,
    JobView,
    Observation,
    TemplateView,
)
from hosts.executors.log_source import LogSource, Resume
from tests.support.waiting import wait_until

NOTHING_STORED = Resume()
LOG_SECONDS = 15.0
PIECE_BYTES = 16_384


def host_view(
    base_url: str,
    *,
    name: str = "testhost",
    kind: str = "docker",
    policy: dict[str, Any] | None = None,
    **config: Any,
) -> HostView:
    """A host of an installation of its own; the image that tests have runs as root, which it allows."""
    return HostView(
        id=uuid.uuid4(),
        name=name,
        executor_type=kind,
        base_url=base_url,
        installation=uuid.uuid4(),
        config=config,
        policy={"root": True} if policy is None else policy,
    )


def job_view(*command: str, template: dict[str, Any] | None = None, **fields: Any) -> JobView:
    """A job that runs the argv; `template` and `fields` say what else is not as usual."""
    job_id = uuid.uuid4()
    usual = {
        "name": "test template",
        "docker_image": "busybox:latest",
        "command": "",
        "working_directory": "",
        "memory_limit": None,
        "cpu_limit": None,
        "timeout_seconds": 60,
    }
    values: dict[str, Any] = {
        "id": job_id,
        "attempt_id": uuid.uuid4(),
        "attempt": 1,
        "epoch": 1,
        "name": "test job",
        "container_name": f"tallyman-test-{job_id}",
        "command": command,
    }
    return JobView(template=TemplateView(**{**usual, **(template or {})}), **{**values, **fields})


def script(text: str, **fields: Any) -> JobView:
    """A job that runs a shell script."""
    return job_view("sh", "-c", text, **fields)


def launch(executor: ContainerExecutor, job: JobView) -> str:
    """Create and start; the id of the container, which is not on its way any more."""
    container_id = executor.create(job).container_id
    executor.start(container_id)
    if executor.capabilities.starts_later:
        wait_until(lambda: _state(executor, container_id) != "starting", 15, "the start")
    return container_id


def _state(executor: ContainerExecutor, container_id: str) -> str:
    seen = executor.observe(container_id)
    return seen.state if seen else "gone"


def until_exited(
    executor: ContainerExecutor, container_id: str, timeout_seconds: float = 15.0
) -> Observation:
    """What the engine shows once the container has exited."""

    def exited() -> Observation | None:
        seen = executor.observe(container_id)
        assert seen is not None
        return seen if seen.state == "exited" else None

    seen = wait_until(exited, timeout_seconds, "the container to exit")
    assert seen is not None
    return seen


def run(executor: ContainerExecutor, job: JobView) -> Observation:
    """Launch the job and wait for its end."""
    return until_exited(executor, launch(executor, job))


def drain(source: LogSource, budget: int = 1 << 20) -> Iterator[bytes]:
    """What comes from the source, until it ends; then it is closed."""
    deadline = time.monotonic() + LOG_SECONDS
    try:
        while (data := source.read(budget)) is not None:
            if data:
                yield data
            else:
                assert time.monotonic() < deadline, "the log did not end in time"
                _wait_for_more(source)
    finally:
        source.close()


def _wait_for_more(source: LogSource) -> None:
    descriptor = source.fileno()
    waiting = [descriptor] if descriptor >= 0 else []  # without one, only reading can tell
    select.select(waiting, [], [], LOG_SECONDS if waiting else 0.05)


def read_log(
    executor: ContainerExecutor, container_id: str, resume: Resume = NOTHING_STORED, *, follow: bool = False
) -> bytes:
    """The container's log after what is stored, as frames."""
    return b"".join(drain(executor.open_log(container_id, resume, follow=follow)))


def resume_after(stored: bytes) -> Resume:
    """Where a log goes on after frames that are stored, as a worker says it."""
    if not stored:
        return NOTHING_STORED
    counted = frames.tally(stored)
    return Resume(
        newest=counted.newest,
        tail=stored,
        stdout_bytes=counted.stdout_bytes,
        stderr_bytes=counted.stderr_bytes,
    )


def written(log: bytes, stream: int) -> bytes:
    """What the container wrote to a stream, from the log of the driver `local`.

    That driver forgets the end of a line that came in pieces: the last piece is a record without a newline
    that is shorter than the others, and something follows it.
    """
    text, owed = b"", b""
    for frame in frames.walk(log):
        if frame.stream == stream:
            text += owed + frame.payload
            whole = frame.payload.endswith(b"\n") or len(frame.payload) == PIECE_BYTES
            owed = b"" if whole else b"\n"
    return text

"""What the suite has to know of an executor: how to make one, and how to say what a job is to do.

It imports nothing of the project's other tests, so a copy of this folder runs beside any executor.
"""

from __future__ import annotations

import dataclasses
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hosts.executors import frames
from hosts.executors.capabilities import Capabilities
from hosts.executors.contract import (
    ContainerExecutor,
    HostView,
    JobView,
    Observation,
    TemplateView,
)
from hosts.executors.log_source import LogSource, Resume
from hosts.executors.registry import executor_for

Value = TypeVar("Value")
NOTHING_STORED = Resume()


@dataclass(frozen=True, kw_only=True)
class Program:
    """What a job does: it writes, then ends, or `waits` until a signal ends it.

    `on` are the signals that it catches, by their short names, with the exit code that each ends it with;
    `shows` are variables of its environment, whose values it writes to stdout, a line each.
    """

    stdout: bytes = b""
    stderr: bytes = b""
    exit_code: int = 0
    waits: bool = False
    on: Mapping[str, int] = field(default_factory=dict)
    shows: tuple[str, ...] = ()

    @property
    def script(self) -> str:
        """It as a shell script."""
        parts = [f"trap 'exit {code}' {name}" for name, code in self.on.items()]
        parts += [f'printf "%s\\n" "${name}"' for name in self.shows]
        parts += [f"printf {_quoted(self.stdout)}"] if self.stdout else []
        parts += [f"printf {_quoted(self.stderr)} >&2"] if self.stderr else []
        parts.append("while :; do sleep 0.05; done" if self.waits else f"exit {self.exit_code}")
        return "; ".join(parts)


class Kit:
    """One executor under test. Subclass it where the defaults do not fit.

    * `host`: a host of an installation of its own, with settings that are right;
    * `nowhere`: the same where nobody answers; None: there is no such thing;
    * `wrong_settings`: pairs of base URL and config that `validate_config` has to refuse;
    * `runs_programs`: jobs really run, so that exit codes of signals and environments can be looked at;
    * `missing_image`: an image that no engine has; empty: images are not looked at;
    * `seconds`: how long an answer may take before a test fails.
    """

    nowhere: HostView | None = None
    wrong_settings: tuple[tuple[str, dict[str, Any]], ...] = ()
    runs_programs = True
    missing_image = ""
    image = "busybox:latest"
    seconds = 20.0

    def __init__(self, host: HostView) -> None:
        self.host = host

    def executor(self, host: HostView | None = None) -> ContainerExecutor:
        """A new one, as another worker has it."""
        return executor_for(host or self.host)

    def job(self, program: Program, **fields: Any) -> JobView:
        """A job that does it; override where jobs are no shell scripts."""
        job_id = uuid.uuid4()
        return JobView(
            **{
                "id": job_id,
                "attempt_id": uuid.uuid4(),
                "attempt": 1,
                "epoch": 1,
                "name": "conformance",
                "container_name": f"tallyman-{self.host.installation}-{job_id}",
                "command": ("sh", "-c", program.script),
                "template": TemplateView(
                    name="conformance",
                    docker_image=self.image,
                    command="",
                    working_directory="",
                    memory_limit=None,
                    cpu_limit=None,
                    timeout_seconds=60,
                ),
                **fields,
            }
        )

    def play(self, executor: ContainerExecutor, container_id: str, program: Program) -> None:
        """Called after each start. A platform that only pretends is told here what the job now does."""

    def make_foreign(self, name: str) -> Callable[[], bool] | None:
        """Make something of this name that is not ours; tells later whether it is there. None: cannot."""
        return None

    # ── what the tests do with it ─────────────────────────────────────────────────────────────────────

    def elsewhere(self) -> HostView:
        """The same engine, as another installation has it."""
        return dataclasses.replace(self.host, installation=uuid.uuid4())

    def begin(self, executor: ContainerExecutor, program: Program, **fields: Any) -> str:
        """The id of a container that was made and started."""
        job = self.job(program, **fields)
        return self.start(executor, executor.create(job).container_id, program)

    def start(self, executor: ContainerExecutor, container_id: str, program: Program) -> str:
        container_id = executor.start(container_id) or container_id
        self.play(executor, container_id, program)
        return container_id

    def until(self, condition: Callable[[], Value], what: str) -> Value:
        """What `condition` returns once it is truthy."""
        deadline = time.monotonic() + self.seconds
        while not (value := condition()):
            assert time.monotonic() < deadline, f"waited {self.seconds:g} s in vain for {what}"
            time.sleep(0.02)
        return value

    def until_state(self, executor: ContainerExecutor, container_id: str, state: str) -> Observation:
        def reached() -> Observation | None:
            seen = executor.observe(container_id)
            assert seen is not None, f"{container_id} is gone before it was {state}"
            return seen if seen.state == state else None

        seen = self.until(reached, f"{container_id} to be {state}")
        assert seen is not None
        return seen

    def run(self, executor: ContainerExecutor, program: Program, **fields: Any) -> Observation:
        """What is seen of it at its end."""
        return self.until_state(executor, self.begin(executor, program, **fields), "exited")

    def read(
        self, executor: ContainerExecutor, container_id: str, resume: Resume = NOTHING_STORED, **how: bool
    ) -> bytes:
        """What there is of its log after what is stored, as frames."""
        source = executor.open_log(container_id, resume, follow=how.get("follow", False))
        return b"".join(self.blocks(source))

    def blocks(self, source: LogSource, budget: int = 1 << 16) -> Iterator[bytes]:
        """What comes from a source until its end; then it is closed."""
        deadline = time.monotonic() + self.seconds
        try:
            while (data := source.read(budget)) is not None:
                assert time.monotonic() < deadline, "the log did not end in time"
                yield data
                if not data:
                    time.sleep(0.02)
        finally:
            source.close()

    def clean(self) -> None:
        """Remove whatever the tests left."""
        executor = self.executor()
        try:
            for seen in executor.list_containers():
                executor.remove(seen.container_id, force=True)
        finally:
            executor.close()

    @property
    def can(self) -> Capabilities:
        return self.executor().capabilities


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
        first=stored[: frames.HEADER.size + frames.TIME_BYTES],
    )


def cuts(log: bytes) -> Iterator[int]:
    """Every place between two frames, both ends too."""
    place = 0
    while place < len(log):
        yield place
        place += frames.HEADER.size + frames.HEADER.unpack_from(log, place)[1]
    yield place


def written(log: bytes) -> tuple[bytes, bytes]:
    """What a container wrote to stdout and to stderr."""
    joiner = frames.Joiner()
    streams = {frames.STDOUT: b"", frames.STDERR: b""}
    for frame in frames.walk(log):
        streams[frame.stream] += joiner.payload(frame)
    return streams[frames.STDOUT], streams[frames.STDERR]


def _quoted(text: bytes) -> str:
    plain = frozenset(range(32, 127)) - frozenset(b"'\\%")
    return "'" + "".join(chr(one) if one in plain else f"\\{one:03o}" for one in text) + "'"

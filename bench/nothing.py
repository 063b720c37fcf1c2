"""An executor that does nothing: containers are entries of a dictionary, and end as soon as they start.

`python -m bench.nothing <manage.py's arguments>` runs the project with it. The worker that runs it is the
real one: every row of every transition is written, and the steps go through its threads.
"""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import ClassVar, Literal

from hosts.errors import ContainerBusy
from hosts.executors import registry
from hosts.executors.capabilities import WISHES, Capabilities
from hosts.executors.contract import (
    ContainerExecutor,
    EngineFacts,
    Hint,
    HostView,
    JobView,
    Observation,
    labels_for,
)
from hosts.executors.log_source import LogSource, Resume

KIND = "nothing"


class EmptyLog:
    """The log of a container that said nothing."""

    missing = ""

    def fileno(self) -> int:
        return -1

    def read(self, budget: int) -> bytes | None:
        return None

    def close(self) -> None:
        return


class NothingExecutor(ContainerExecutor):
    """See the module."""

    kind: ClassVar[str] = KIND
    label: ClassVar[str] = "Nothing"
    # All that a job may ask for, as an engine can: what a lack costs is no part of what is measured.
    capabilities: ClassVar[Capabilities] = Capabilities(
        hints=True, logs=True, live_logs=True, stop=True, lists=True, **dict.fromkeys(WISHES, True)
    )

    def __init__(self, host: HostView) -> None:
        super().__init__(host)
        self._containers: dict[str, Observation] = {}
        self._hints: queue.SimpleQueue[Hint] = queue.SimpleQueue()

    def check(self) -> EngineFacts:
        return EngineFacts(engine_id=str(self.host.id), version="0")

    def create(self, job: JobView) -> Observation:
        made = Observation(
            container_id=job.container_name,
            name=job.container_name,
            state="created",
            labels=labels_for(self.host, job),
            metadata={"container_name": job.container_name, "container_id": job.container_name},
            fresh=True,
        )
        self._containers[made.container_id] = made
        return made

    def start(self, container_id: str) -> None:
        made = self._containers[container_id]
        moment = datetime.now(UTC)
        self._containers[container_id] = Observation(
            container_id=container_id,
            name=made.name,
            state="exited",
            labels=made.labels,
            metadata=made.metadata,
            exit_code=0,
            started_at=moment,
            finished_at=moment,
        )
        self._hints.put(Hint(container_id=container_id, action="die"))

    def observe(self, ref: str) -> Observation | None:
        return self._containers.get(ref)

    def list_containers(self) -> list[Observation]:
        return list(self._containers.values())

    def signal(self, container_id: str, name: Literal["TERM", "KILL"]) -> None:
        return

    def remove(self, container_id: str, *, force: bool = False) -> None:
        seen = self._containers.get(container_id)
        if seen and seen.state == "running" and not force:
            raise ContainerBusy(container_id)
        self._containers.pop(container_id, None)

    def open_log(self, container_id: str, resume: Resume, *, follow: bool) -> LogSource:
        return EmptyLog()

    def watch(self, stop: threading.Event) -> Iterator[Hint]:
        yield Hint(container_id=None, action="connected")
        while not stop.is_set():
            try:
                yield self._hints.get(timeout=0.5)
            except queue.Empty:
                continue


if __name__ == "__main__":
    registry.EXECUTORS[KIND] = "bench.nothing.NothingExecutor"
    from manage import main

    sys.argv[0] = "manage.py"
    main()

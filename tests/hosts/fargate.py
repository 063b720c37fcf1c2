"""Executors, jobs and clients of tests of the Fargate executor."""

from __future__ import annotations

from typing import Any

from hosts.executors.contract import (
    HostView,
    JobView,
    Observation,
    TemplateView,
)
from hosts.executors.fargate import FargateExecutor
from hosts.executors.frames import walk
from hosts.executors.log_source import LogSource
from hosts.ids import new_id
from tests.support.aws import CREDENTIALS, Aws
from tests.support.waiting import wait_until

INSTALLATION = new_id()
HOST = new_id()


def executor_of(aws: Aws, **config: Any) -> FargateExecutor:
    """An executor as a worker of this installation makes it: each call is another worker's."""
    return FargateExecutor(view_of({**aws.config, **CREDENTIALS, **config}))


def view_of(config: dict[str, Any]) -> HostView:
    """The host of these tests."""
    return HostView(
        id=HOST,
        name="cloud",
        executor_type="fargate",
        base_url="",
        installation=INSTALLATION,
        config=config,
    )


def job_view(**given: Any) -> JobView:
    """A first attempt of a new job."""
    job = given.pop("id", new_id())
    template = {
        "name": "t",
        "docker_image": "busybox:latest",
        "command": "",
        "working_directory": "",
        "memory_limit": None,
        "cpu_limit": None,
        "timeout_seconds": 60,
    }
    template |= given.pop("template", {})
    return JobView(
        **{
            "id": job,
            "attempt_id": new_id(),
            "attempt": 1,
            "epoch": 7,
            "name": "job",
            "container_name": f"tallyman-{INSTALLATION}-{job}",
            "template": TemplateView(**template),
            **given,
        }
    )


def launched(executor: FargateExecutor, job: JobView) -> Observation:
    """The job, created and started."""
    made = executor.create(job)
    assert made.fresh
    executor.start(made.container_id)
    return made


def lines_of(source: LogSource, count: int | None = None) -> list[bytes]:
    """The payloads that a source gives to its end, or the first so many."""
    data = b""

    def is_done() -> bool:
        nonlocal data
        piece = source.read(1 << 20)
        data += piece or b""
        return piece is None or (count is not None and len(list(walk(data))) >= count)

    wait_until(is_done, timeout_seconds=10, what="the log")
    return [frame.payload for frame in walk(data)]

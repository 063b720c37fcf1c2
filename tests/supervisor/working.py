"""`process_container_jobs` run to its end, and what tests of it ask of engines and timelines."""

from __future__ import annotations

from typing import Any

from jobs import operations
from jobs.models import ContainerJob, ContainerTemplate, JobEvent
from tests.support import supervising
from tests.support.engines import Engine
from tests.support.foreign_engine import ForeignEngine

AnyEngine = Engine | ForeignEngine
PATIENCE_SECONDS = 40.0


def work(*arguments: str, database_url: str, **environment: str) -> tuple[int, str]:
    """Run the command to its end; its exit code and what it wrote."""
    with supervising.running(
        "process_container_jobs", *arguments, database_url=database_url, **environment
    ) as command:
        code = command.process.wait(PATIENCE_SECONDS)
        print(command.log)
        return code, command.log


def shell(template: ContainerTemplate, script: str, **fields: Any) -> ContainerJob:
    """Submit a job that runs the script."""
    return operations.submit(template, command=f"sh -c '{script}'", **fields)


def statuses() -> dict[str, str]:
    """The status of each job, by its name."""
    return dict(ContainerJob.objects.values_list("name", "status"))


def most_at_once() -> int:
    """How many slots were held at once, by the timeline."""
    held = most = 0
    for kind in JobEvent.objects.order_by("pk").values_list("kind", flat=True):
        held += {"claimed": 1, "exited": -1}.get(kind, 0)
        most = max(most, held)
    return most


def names(engine: AnyEngine) -> set[str]:
    """The names of all containers on the engine."""
    return {container["Names"][0].strip("/") for container in engine.api.containers(all=True)}

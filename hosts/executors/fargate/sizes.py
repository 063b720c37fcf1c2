"""The sizes that Fargate has. Pure.

Source: Amazon ECS Developer Guide, "Fargate task definition parameters", task CPU and memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hosts.errors import ContainerExecutionError

UNITS = 1024  # CPU units in one CPU
MOST_CPUS, MOST_MEMORY = 16, 122_880

_GB = 1024
_SIZES: dict[int, Sequence[int]] = {
    256: (512, 1 * _GB, 2 * _GB),
    512: range(1 * _GB, 4 * _GB + 1, _GB),
    1024: range(2 * _GB, 8 * _GB + 1, _GB),
    2048: range(4 * _GB, 16 * _GB + 1, _GB),
    4096: range(8 * _GB, 30 * _GB + 1, _GB),
    8192: range(16 * _GB, 60 * _GB + 1, 4 * _GB),
    16384: range(32 * _GB, 120 * _GB + 1, 8 * _GB),
}


@dataclass(frozen=True, slots=True)
class Size:
    """CPU units and MiB of a task."""

    cpu: int
    memory: int


def smallest(cpus: float, memory_mb: int) -> Size:
    """The smallest task that has so much of both; ContainerExecutionError if there is none."""
    for cpu, memories in _SIZES.items():
        enough = [memory for memory in memories if memory >= memory_mb]
        if cpu >= cpus * UNITS and enough:
            return Size(cpu, enough[0])
    raise ContainerExecutionError(
        f"Fargate has no task with {cpus:g} CPUs and {memory_mb} MB: it goes up to {MOST_CPUS} CPUs "
        f"and {MOST_MEMORY} MB.",
        failure_class="bad_spec",
        hint="Lower cpu_limit or memory_limit of the template, or send the job to another host.",
    )

"""What this machine is doing: of a local engine more can be told than the engine tells."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

import psutil


def is_here(hostname: str) -> bool:
    """Whether an engine that says that this is its machine's name runs on this one."""
    return bool(hostname) and hostname == socket.gethostname()


def readings(folder: str) -> dict[str, Any]:
    """Fields of `EngineFacts` for the machine, and the disk that holds the folder if it can be seen.

    `cpu_percent`, of all CPUs together, is of the time since the last call in this process; None at first.
    """
    memory = psutil.virtual_memory()
    found: dict[str, Any] = {
        "cpu_percent": _cpu.percent(),
        "memory_used_bytes": memory.total - memory.available,
    }
    with contextlib.suppress(OSError, ValueError):
        disk = psutil.disk_usage(folder)
        found |= {"disk_free_bytes": disk.free, "disk_total_bytes": disk.total}
    return found


class _Cpu:
    def __init__(self) -> None:
        self._before: tuple[float, float] | None = None

    def percent(self) -> float | None:
        times = psutil.cpu_times()
        idle = times.idle + getattr(times, "iowait", 0.0)
        now, before = (sum(times[:8]), idle), self._before
        self._before = now
        if before is None or now[0] <= before[0]:
            return None
        return 100.0 * (1.0 - (now[1] - before[1]) / (now[0] - before[0]))


_cpu = _Cpu()

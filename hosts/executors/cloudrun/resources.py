"""CPUs and memory as Cloud Run sells them: not every amount, and not every pair. Pure.

Source: cloud.google.com/run/docs/configuring/jobs/cpu and .../memory-limits.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

_CPUS = (1, 2, 4, 6, 8)
LEAST_MEMORY_MB = 512
# With so many CPUs, memory is from ... to ... MiB.
_MEMORY_MB = {1: (512, 4096), 2: (512, 8192), 4: (2048, 16384), 6: (4096, 24576), 8: (4096, 32768)}
MOST_MEMORY_MB = _MEMORY_MB[_CPUS[-1]][1]
_UNITS_MB = {"Mi": 1.0, "Gi": 1024.0, "M": 1e6 / 2**20, "G": 1e9 / 2**20}
_MEMORY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(Mi|Gi|M|G)")
_CPU = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m?)")


def limits(cpus: float | None, memory_mb: float | None) -> dict[str, str]:
    """The least that Cloud Run sells of which there is as much of both; empty where nothing is asked for.

    ValueError with a sentence if that is more than it has.
    """
    if cpus is None and memory_mb is None:
        return {}
    wanted_cpus, wanted_mb = cpus or _CPUS[0], max(memory_mb or 0, LEAST_MEMORY_MB)
    for count in _CPUS:
        least, most = _MEMORY_MB[count]
        if count >= wanted_cpus and wanted_mb <= most:
            return {"cpu": str(count), "memory": f"{math.ceil(max(least, wanted_mb))}Mi"}
    raise ValueError(
        f"Cloud Run has {_CPUS[-1]} CPUs and {MOST_MEMORY_MB} MB of memory for a job at most; "
        f"{wanted_cpus:g} CPUs and {wanted_mb:g} MB are asked for."
    )


def cpus_of(text: str) -> float | None:
    """CPUs from "2" or "2000m"; None where nothing is said. ValueError if it says neither."""
    if not text:
        return None
    found = _CPU.fullmatch(text)
    if not found or not float(found[1]):
        raise ValueError(f'cpu_limit must be a number of CPUs, "2" say, not {text!r}.')
    return float(found[1]) / (1000 if found[2] else 1)


def memory_mb_of(text: str) -> float | None:
    """MiB from "2Gi" or "512Mi"; None where nothing is said. ValueError if it says neither."""
    if not text:
        return None
    found = _MEMORY.fullmatch(text)
    if not found or not float(found[1]):
        raise ValueError(f'memory_limit must be an amount with its unit, "2Gi" or "512Mi" say, not {text!r}.')
    return float(found[1]) * _UNITS_MB[found[2]]


def problems(config: Mapping[str, Any]) -> list[str]:
    """What is wrong with `cpu_limit` and `memory_limit`, a sentence each."""
    values, found = [], []
    for key, read in (("cpu_limit", cpus_of), ("memory_limit", memory_mb_of)):
        try:
            values.append(read(str(config.get(key) or "")))
        except ValueError as exc:
            found.append(str(exc))
    if not found:
        try:
            limits(*values)
        except ValueError as exc:
            found.append(str(exc))
    return found

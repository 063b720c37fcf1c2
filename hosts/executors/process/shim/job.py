"""From the fork to the exec: the child of the keeper turns into the job."""

from __future__ import annotations

import contextlib
import json
import math
import os
import resource
import signal
from typing import Any, NoReturn

from . import files, processes

_OOM_SCORE = "500"


def become(
    spec: dict[str, Any], environment: dict[str, str], *, keeper: int, gate: int, fault: int
) -> NoReturn:
    """Turn this process into the job once the gate opens.

    What goes wrong before the job's program runs is written to `fault` as `{"step", "errno", "text"}`.
    """
    step = "setup"
    try:
        processes.die_with(keeper)
        if not os.read(gate, 1):
            os._exit(0)
        _prepare(spec)
        step = "directory"
        os.chdir(spec["directory"])
        step = "command"
        os.execvpe(spec["command"][0], spec["command"], environment)
    except BaseException as exc:  # noqa: BLE001 (it is reported, and nothing is left to raise it to)
        number = exc.errno if isinstance(exc, OSError) else None
        text = os.strerror(number) if number else f"{type(exc).__name__}: {exc}"
        os.write(fault, json.dumps({"step": step, "errno": number, "text": text}).encode())
    finally:
        # Whatever happened, nothing of the keeper may run on in here.
        os._exit(127)


def _prepare(spec: dict[str, Any]) -> None:
    os.setsid()
    _open_streams()
    _reset_signals()
    os.umask(0o022)
    # Of all processes here, the job is the one that shall go when the machine runs out of memory.
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as score:
        score.write(_OOM_SCORE)
    if spec["memory_limit"]:
        limit = spec["memory_limit"] * 2**20
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    if spec["cpu_limit"]:
        os.sched_setaffinity(0, _some_cpus(math.ceil(spec["cpu_limit"])))


def _open_streams() -> None:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in enumerate(files.STREAMS, start=1):
        os.dup2(os.open(name, os.O_WRONLY | os.O_APPEND), number)


def _reset_signals() -> None:
    # An ignored signal stays ignored over exec, and both the keeper and its interpreter ignore some.
    for number in signal.valid_signals():
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)


def _some_cpus(count: int) -> set[int]:
    """So many of our CPUs; which ones depends on the pid, so that jobs spread."""
    cpus = sorted(os.sched_getaffinity(0))
    first = os.getpid() % len(cpus)
    return set((cpus[first:] + cpus[:first])[:count])

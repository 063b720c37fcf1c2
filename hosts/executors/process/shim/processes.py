"""What the keeper asks the kernel about processes, itself and the job's."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from typing import Any

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PARENT, _START_TICKS = 1, 19  # proc(5), fields 4 and 22, counted from the state on


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with(parent: int) -> None:
    """Be killed when the parent dies, at once if it is dead already."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def identities(job: int) -> dict[str, Any]:
    """Who we and the job are, so precisely that a pid used again is not taken for one of us."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as boot_id:
        return {
            "shim_pid": os.getpid(),
            "shim_ticks": _start_ticks(os.getpid()),
            "job_pid": job,
            "job_ticks": _start_ticks(job),
            "boot_id": boot_id.read().strip(),
            "pid_namespace": os.readlink("/proc/self/ns/pid"),
        }


def kill_all_children() -> None:
    """Kill and bury until no child is left; the children of each dead one become ours, so this finds all."""
    while True:
        for pid in _children():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        try:
            os.wait()
        except ChildProcessError:
            return


def _children() -> list[int]:
    me = str(os.getpid())
    pids = (entry for entry in os.listdir("/proc") if entry.isdigit())
    return [int(pid) for pid in pids if _stat(pid)[_PARENT : _PARENT + 1] == [me]]


def _start_ticks(pid: int) -> int:
    return int(_stat(pid)[_START_TICKS])


def _stat(pid: int | str) -> list[str]:
    """/proc/<pid>/stat from the state on; empty if there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            text = stat.read()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text[text.rindex(")") + 2 :].split()


def _prctl(option: int, argument: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, argument, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl failed")

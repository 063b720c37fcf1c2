"""Who a process is, so precisely that another process on the same machine can prove it dead.

A pid alone is reused; (pid, start ticks) within one boot and one pid namespace is not.
"""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

_START_TICKS_FIELD = 22  # proc(5): /proc/<pid>/stat, counted from 1
_STATE_FIELD = 3
_DEAD_STATES = {"Z", "X", "x"}


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process of one boot of one machine. `start_ticks` is clock ticks from boot to its start."""

    machine: str
    boot_id: str
    pid_namespace: str
    pid: int
    start_ticks: int

    def is_proved_dead(self) -> bool:
        """True only if this process can see that the other one is gone; elsewhere nothing is proved."""
        here = _place()
        if (self.machine, self.boot_id, self.pid_namespace) != here or not self.pid:
            return False
        ticks = start_ticks(self.pid)
        return ticks != self.start_ticks if ticks is not None else not _is_anothers(self.pid)


def current() -> ProcessIdentity:
    """This process; ask again after a fork."""
    pid = os.getpid()
    ticks = start_ticks(pid)
    if ticks is None:
        raise RuntimeError("/proc is not mounted, so processes cannot be told apart; mount it.")
    return ProcessIdentity(*_place(), pid, ticks)


def start_ticks(pid: int, proc: Path = Path("/proc")) -> int | None:
    """When the process with this pid started; None if /proc shows none, or only its zombie."""
    try:
        stat = (proc / str(pid) / "stat").read_bytes()
    except (FileNotFoundError, PermissionError, ProcessLookupError):
        return None
    # The command's name, in parentheses, may hold any bytes, parentheses too.
    fields = stat[stat.rindex(b")") + 2 :].decode().split()
    if fields[_STATE_FIELD - 3] in _DEAD_STATES:
        return None
    return int(fields[_START_TICKS_FIELD - 3])


def _is_anothers(pid: int) -> bool:
    """Whether the pid is of another user's process, which /proc may hide from us (hidepid)."""
    try:
        os.kill(pid, 0)
    except OSError as exc:
        return isinstance(exc, PermissionError)
    return False


def boot_clock() -> float:
    """Seconds on a clock that no one sets and that goes on while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@lru_cache(maxsize=1)
def _place() -> tuple[str, str, str]:
    return (
        f"{socket.gethostname()}/{_read('/etc/machine-id')[:32]}",
        _read("/proc/sys/kernel/random/boot_id"),
        os.readlink("/proc/self/ns/pid"),
    )


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""

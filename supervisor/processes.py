"""The rows that say which processes of ours run, and what psutil reads of them."""

from __future__ import annotations

import contextlib
import mmap
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
from django.db.models import Count
from django.db.models.functions import Now

from hosts import fitting, identity, wakeups
from hosts.identity import boot_clock
from hosts.kept import KeptUpdate
from jobs.models import Attempt
from supervisor.models import Role, SupervisorProcess

_FORGOTTEN_AFTER = timedelta(hours=1)


_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
_STATE_LENGTH = 50
_WRITE_EVERY_SECONDS = 30.0
_OWN_EVERY_SECONDS = 60.0
_OWN_AT_LEAST, _OWN_SHARE = 4, 4
_NEVER = (float("-inf"), 0)
_KEPT_UP_TO_DATE = (
    *("host", "state", "restarts", "heartbeat_at", "rss_bytes", "uss_bytes", "cpu_seconds", "open_files"),
    *("threads", "jobs_held", "last_exit", "last_exit_at", "failing_since_at", "is_crash_looping"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A process as its parent knows it; `start_ticks` proves that the pid is still its own.

    `exit_clock` and `failing_clock` are on the boot clock: when the one before it ended, and since when none
    of them has run for a minute.
    """

    role: Role
    pid: int
    start_ticks: int
    host_id: UUID | None = None
    state: str = ""
    restarts: int = 0
    last_exit: str = ""
    exit_clock: float | None = None
    failing_clock: float | None = None
    is_crash_looping: bool = False


class Heartbeat:
    """Keeps the rows of one supervisor's processes; call `beat` more often than a heartbeat gets stale.

    To say that all of them live is one short statement. What there is to read of them is written when one of
    them came, went or changed, and now and then.
    """

    def __init__(self, supervisor: UUID) -> None:
        self._supervisor = supervisor
        self._readings = Readings()
        self._written: list[Known] = []
        self._memory: dict[int, int] = {}
        self._write_clock = 0.0
        self._alive: KeptUpdate | None = None

    def beat(self, processes: Sequence[Known]) -> dict[int, int]:
        """Bring the rows up to date; the memory of each process as it was read last, by its pid."""
        known, now = list(processes), boot_clock()
        rows = len({(one.role, one.pid) for one in known})
        if known != self._written or now >= self._write_clock or self._say_alive() != rows:
            self._written = []
            self._memory = beat(self._supervisor, known, self._readings)
            self._written, self._write_clock = known, now + _WRITE_EVERY_SECONDS
        return self._memory

    def _say_alive(self) -> int:
        rows = SupervisorProcess.objects.filter(supervisor=self._supervisor)
        self._alive = self._alive or KeptUpdate(rows, heartbeat_at=Now())
        return self._alive.run()


def beat(supervisor: UUID, processes: Sequence[Known], readings: Readings | None = None) -> dict[int, int]:
    """Bring the rows of one supervisor up to date; rows of processes that are not named any more go.

    Returns the memory of each process that could be read, by its pid.
    """
    ours = SupervisorProcess.objects.filter(supervisor=supervisor)
    # By both: a pid may have come round to another child meanwhile, whose row begins anew.
    pids, ticks = [known.pid for known in processes], [known.start_ticks for known in processes]
    ours.exclude(pid__in=pids, start_ticks__in=ticks).delete()
    held, read = _held(processes), (readings or Readings()).of(processes)
    rows = {
        (known.role, known.pid): _row(supervisor, known, held, read.get((known.pid, known.start_ticks), {}))
        for known in reversed(processes)
    }
    SupervisorProcess.objects.bulk_create(
        reversed(rows.values()),
        update_conflicts=True,
        unique_fields=["supervisor", "role", "pid"],
        update_fields=_KEPT_UP_TO_DATE,
    )
    # Those that were killed could not take their rows away themselves.
    SupervisorProcess.objects.filter(heartbeat_at__lt=Now() - _FORGOTTEN_AFTER).delete()
    return {row.pid: row.rss_bytes for row in rows.values() if row.rss_bytes}


def _row(
    supervisor: UUID, known: Known, held: Mapping[tuple[int, int], int], read: Mapping[str, Any]
) -> SupervisorProcess:
    here = identity.current()
    jobs = held.get((known.pid, known.start_ticks), 0) if known.host_id else None
    return SupervisorProcess(
        supervisor=supervisor,
        role=known.role,
        host_id=known.host_id,
        pid=known.pid,
        start_ticks=known.start_ticks,
        machine=here.machine,
        boot_id=here.boot_id,
        pid_namespace=here.pid_namespace,
        state=known.state[:_STATE_LENGTH],
        restarts=known.restarts,
        jobs_held=jobs,
        **fitting.fitted(SupervisorProcess, last_exit=known.last_exit),
        last_exit_at=_at(known.exit_clock),
        failing_since_at=_at(known.failing_clock),
        is_crash_looping=known.is_crash_looping,
        started_at=_at(known.start_ticks / _TICKS_A_SECOND),
        heartbeat_at=Now(),
        **read,
    )


def _at(clock: float | None) -> Any:
    """The database's time of a moment on the boot clock."""
    return None if clock is None else Now() - timedelta(seconds=max(0.0, identity.boot_clock() - clock))


def _held(processes: Sequence[Known]) -> dict[tuple[int, int], int]:
    """How many slots of its host each worker holds, by its pid and start."""
    hosts = [known.host_id for known in processes if known.host_id]
    if not hosts:
        return {}
    holding = Attempt.objects.open().holding_slots().filter(host_id__in=hosts).order_by()
    holders = holding.values_list("host__lease__pid", "host__lease__start_ticks")
    return {(pid, ticks): count for pid, ticks, count in holders.annotate(count=Count("pk"))}


def is_supervised() -> bool:
    """Whether a supervisor works with this database: its heartbeat is fresh, and it is not proved dead."""
    heads = SupervisorProcess.objects.alive().filter(role__in=[Role.MASTER, Role.STANDALONE])
    return any(not head.identity.is_proved_dead() for head in heads)


def has_master() -> bool:
    """Whether a master lives, and with it a clerk; proved dead or not: it may be another machine's."""
    return SupervisorProcess.objects.alive().filter(role=Role.MASTER).exists()


def is_eldest(supervisor: UUID) -> bool:
    """Whether no living supervisor has been there for longer; it does what one is enough for."""
    masters = SupervisorProcess.objects.alive().filter(role=Role.MASTER).order_by("started_at", "id")
    return masters.values_list("supervisor", flat=True).first() == supervisor


def forget(supervisor: UUID) -> None:
    """The supervisor ends in order: take its rows away, and let the others look for its hosts now."""
    SupervisorProcess.objects.filter(supervisor=supervisor).delete()
    wakeups.notify_supervisors()


class Readings:
    """What the kernel says of processes.

    How much memory is a process's own is found by a walk through all of it (2 ms and more), so every process
    is asked once a minute, and only some of them each time.
    """

    def __init__(self) -> None:
        self._own: dict[tuple[int, int], tuple[float, int]] = {}  # when it was read, and how much it was

    def of(self, processes: Sequence[Known]) -> dict[tuple[int, int], dict[str, Any]]:
        """By pid and start; a process that is gone, or that another one has the pid of, is missing."""
        keys = {(known.pid, known.start_ticks) for known in processes}
        self._read_own(keys, time.monotonic())
        vitals = {key: _vitals(*key) for key in keys}
        return {
            key: {**said, "uss_bytes": self._own[key][1] if key in self._own else None}
            for key, said in vitals.items()
            if said is not None
        }

    def _read_own(self, keys: set[tuple[int, int]], now: float) -> None:
        self._own = {key: own for key, own in self._own.items() if key in keys}
        due = [key for key in keys if now >= self._own.get(key, _NEVER)[0] + _OWN_EVERY_SECONDS]
        # The oldest first; those that were never read are older than any.
        due.sort(key=lambda key: self._own.get(key, _NEVER))
        for pid, ticks in due[: max(_OWN_AT_LEAST, len(keys) // _OWN_SHARE)]:
            with contextlib.suppress(psutil.Error):
                own = psutil.Process(pid).memory_full_info().uss
                # Asked last: a process that is still there has been there all along.
                if identity.start_ticks(pid) == ticks:
                    self._own[pid, ticks] = now, own


def _vitals(pid: int, start_ticks: int) -> dict[str, Any] | None:
    """From /proc/<pid>, see proc(5); what is read last says whether all of it is the process's own."""
    proc = Path(f"/proc/{pid}")
    try:
        open_files = len(os.listdir(proc / "fd"))
        stat = (proc / "stat").read_bytes()
    except (FileNotFoundError, PermissionError, ProcessLookupError):
        return None
    fields = stat[stat.rindex(b")") + 2 :].split()
    if fields[0] in {b"Z", b"X"} or int(fields[19]) != start_ticks:
        return None
    return {
        "rss_bytes": int(fields[21]) * mmap.PAGESIZE,
        "cpu_seconds": (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND,
        "open_files": open_files,
        "threads": int(fields[17]),
    }

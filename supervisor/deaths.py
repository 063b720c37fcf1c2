"""Which attempt a worker's death is put down to, and telling the clerk, who counts. Calls no database.

A death counts only if the worker was at that attempt's work when it crashed: by SEGV, BUS or ABRT, by an
uncaught exception, or by a memory kill that the kernel counted. KILL alone never counts: anybody may send it.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from supervisor.exit_codes import INTERNAL
from supervisor.lines import LineSocket
from supervisor.worker.breadcrumb import Left

_CRASHES = {-signal.SIGSEGV, -signal.SIGBUS, -signal.SIGABRT}
_CRASHED_THREAD = re.compile(r"^Current thread 0x([0-9a-f]+)", re.MULTILINE)
_MOST_UNTOLD = 100
_HOLD_BACK_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """One death that counts against an attempt, as the clerk is told of it."""

    id: str
    attempt: str
    worker: str  # the host's id: whose worker it was
    what: str
    clock: float


def blamed(
    code: int, left: Sequence[Left], *, stacks: str = "", stuck: bool = False, memory_kill: bool = False
) -> Left | None:
    """The attempt that a worker died of, if of any; `code` is negative for a signal.

    `stacks` are faulthandler's: they tell which thread crashed, and so whose crumb counts. `stuck`: the
    master itself sent ABRT and KILL, because the worker did not turn any more.
    """
    if stuck:
        return None
    if code == INTERNAL:
        return next((one for one in left if one.raised), None)
    if code in _CRASHES and stacks:
        found = _CRASHED_THREAD.search(stacks)
        thread = int(found[1], 16) if found else None
        return next((one for one in left if one.thread == thread), None)
    if code in _CRASHES or (code == -signal.SIGKILL and memory_kill):
        return next(iter(left), None)
    return None


def words(code: int, worker: str, pid: int) -> str:
    """How it died, for the timeline; no two deaths have the same words."""
    if code == INTERNAL:
        how = "an uncaught exception"
    else:
        name = signal.Signals(-code).name
        how = f"{name} (out of memory)" if code == -signal.SIGKILL else name
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    return f"the worker of host {worker} (process {pid}) died by {how} while it handled this attempt, at {at}"


def memory_kills(
    *, cgroups: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")
) -> int | None:
    """How many processes of our control group the kernel has killed for memory; None if it does not tell."""
    for file in _counters(cgroups, root):
        try:
            lines = file.read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            name, _, value = line.partition(" ")
            if name == "oom_kill":
                return int(value)
    return None


def _counters(cgroups: Path, root: Path) -> Iterator[Path]:
    try:
        lines = cgroups.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):  # version 1
            # In a container the path may be the host's, while only what is below it is mounted.
            yield root / "memory" / path.lstrip("/") / "memory.oom_control"
            yield root / "memory" / "memory.oom_control"
        elif not controllers:
            yield root / path.lstrip("/") / "memory.events"
            yield root / "memory.events"


@dataclass(slots=True)
class DeathBook:
    """Deaths that the clerk has not said to be written yet; told again to the next clerk."""

    _untold: dict[str, Death] = field(default_factory=dict)

    def add(self, attempt: str, worker: str, what: str, now: float) -> None:
        """Note one; beyond a hundred the oldest is forgotten."""
        death = Death(id=str(uuid4()), attempt=attempt, worker=worker, what=what, clock=now)
        self._untold[death.id] = death
        if len(self._untold) > _MOST_UNTOLD:
            del self._untold[next(iter(self._untold))]

    def tell(self, line: LineSocket | None) -> None:
        """Tell a clerk all of them; those it was told of before count once all the same."""
        if line:
            for death in self._untold.values():
                line.send({"death": asdict(death)})

    def written(self, death_id: str) -> None:
        """The clerk has it in the database."""
        self._untold.pop(death_id, None)

    def hold_back(self, worker: str, now: float) -> bool:
        """Whether that host's next worker shall wait, a moment at most, to find its attempt counted."""
        return any(
            death.worker == worker and now < death.clock + _HOLD_BACK_SECONDS
            for death in self._untold.values()
        )

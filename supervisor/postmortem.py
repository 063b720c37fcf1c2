"""How a child died, in words, and whether a job is to blame. Reads what it left behind; calls no database."""

from __future__ import annotations

import signal
from dataclasses import dataclass

import structlog

from supervisor.child import Child
from supervisor.deaths import blamed, memory_kills
from supervisor.exit_codes import CONFIGURATION, INTERNAL, TRY_LATER
from supervisor.fork import UNCAUGHT
from supervisor.worker.breadcrumb import Left

logger = structlog.get_logger(__name__)

_CODES = {
    CONFIGURATION: "a setting is wrong",
    TRY_LATER: "the database or the lease was away",
    INTERNAL: "an uncaught exception",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """The end of a child; `attempt` is the one it is put down to, if any."""

    child: Child
    code: int
    cause: str
    attempt: Left | None

    @classmethod
    def of(cls, child: Child, code: int) -> Death:
        """Look at what it left; logs where its threads were if it crashed."""
        said = child.said_when_it_crashed()
        uncaught, stacks = _split(said)
        if stacks:
            logger.error("where its threads were", child=child.name, child_pid=child.pid, stacks=stacks)
        left = child.crumbs.left() if child.crumbs else []
        killed = child.memory_kills is not None and (memory_kills() or 0) > child.memory_kills
        attempt = blamed(code, left, stacks=stacks, stuck=bool(child.stuck), memory_kill=killed)
        cause = child.stuck or uncaught or cause_of(code, memory_kill=killed)
        return cls(child=child, code=code, cause=cause, attempt=attempt)


def cause_of(code: int, *, memory_kill: bool = False) -> str:
    """What the code alone tells; empty if nothing."""
    if code >= 0:
        return _CODES.get(code, "")
    name = signal.Signals(-code).name if -code in set(signal.Signals) else ""
    return f"{name}, out of memory" if memory_kill and -code == signal.SIGKILL else name


def _split(said: str) -> tuple[str, str]:
    """The last line of an uncaught exception, and the stacks."""
    lines = said.splitlines()
    uncaught = [line.removeprefix(UNCAUGHT) for line in lines if line.startswith(UNCAUGHT)]
    return uncaught[-1] if uncaught else "", "\n".join(
        line for line in lines if not line.startswith(UNCAUGHT)
    )

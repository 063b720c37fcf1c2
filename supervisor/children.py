"""The master's children: forked, listened to, reaped, and started again as their histories allow.

Here stands how a child lives and dies; which children there shall be is for the master to say.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import dataclass, field

import structlog

from hosts import identity
from hosts.identity import boot_clock
from supervisor.child import CLERK, EXAMINER, Child
from supervisor.exit_codes import OK, TRY_LATER
from supervisor.fork import ChildPipes, fork
from supervisor.postmortem import Death
from supervisor.restarts import RestartPolicy

logger = structlog.get_logger(__name__)

BOOT_SECONDS = 90.0
STALL_SECONDS = 30.0
_STACKS_SECONDS = 2.0


@dataclass(slots=True)
class Children:
    """See the module. Keys are those of `Child`."""

    running: dict[str, Child] = field(default_factory=dict)
    policies: dict[str, RestartPolicy] = field(default_factory=dict)

    def workers(self) -> list[Child]:
        """Those that hold hosts, or are to."""
        return [child for child in self.running.values() if child.is_worker]

    def policy(self, key: str) -> RestartPolicy:
        """The history of this child and of those before it."""
        return self.policies.setdefault(key, RestartPolicy())

    def forget(self, kept: Iterable[str]) -> None:
        """Drop the histories of children that are neither kept nor running."""
        for key in self.policies.keys() - set(kept) - self.running.keys():
            del self.policies[key]

    def fork(
        self, key: str, name: str, row_key: str, main: Callable[[ChildPipes], int], *, close: list[int]
    ) -> Child:
        """Start a child that runs `main`; `close` are descriptors of the master's that it must not keep."""
        title = _title(key, name)
        stacks = os.memfd_create("stacks")
        held = [*close, *(one for child in self.running.values() for one in child.descriptors())]
        pid, progress, control = fork(title, main, close=held, stacks=stacks)
        now = boot_clock()
        child = Child(
            key=key,
            name=name,
            pid=pid,
            pidfd=os.pidfd_open(pid),
            progress=progress,
            control=control,
            start_ticks=identity.start_ticks(pid) or 0,
            started_clock=now,
            seen_clock=now,
            row_key=row_key,
            stacks=stacks,
        )
        self.running[key] = child
        logger.info("child started", child=name, child_pid=pid, restarts=self.policy(key).restarts)
        return child

    def reap(self, *, spare: Set[int] = frozenset()) -> Iterator[Death]:
        """Bury those that have ended; as PID 1 strangers, too, but for those that somebody else waits for."""
        for child in list(self.running.values()):
            code = child.exit_code()
            if code is not None:
                yield self._bury(child, code)
        if os.getpid() == 1:
            self._reap_strangers(spare)

    def _bury(self, child: Child, code: int) -> Death:
        del self.running[child.key]
        now = boot_clock()
        death = Death.of(child, code)
        child.close()
        ready = now - child.ready_clock if child.ready_clock is not None else 0.0
        policy = self.policy(child.key)
        policy.note_exit(code, key=child.row_key, ready_seconds=ready, now=now, cause=death.cause)
        policy.last_pid, policy.last_start_ticks = child.pid, child.start_ticks
        level = logger.info if code in {OK, TRY_LATER} else logger.warning
        level(
            "child ended",
            child=child.name,
            child_pid=child.pid,
            exit=policy.last_words,
            failures=policy.failures,
        )
        if policy.is_crash_looping:
            logger.error(
                "child crash-loops; it is started ever more seldom", child=child.name, cause=policy.last_words
            )
        return death

    def _reap_strangers(self, spare: Set[int]) -> None:
        """As PID 1, orphans of anybody become our children; nobody else would reap them."""
        ours = {child.pid for child in self.running.values()} | spare
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None or found.si_pid in ours:
                return
            os.waitpid(found.si_pid, 0)

    def read_progress(self) -> list[Child]:
        """Take their signs of life; those that have just become ready."""
        now = boot_clock()
        ready = []
        for child in self.running.values():
            said = child.progress_said()
            if said:
                child.seen_clock = now
                child.holds_host = child.holds_host or b"H" in said
                if b"R" in said and child.ready_clock is None:
                    child.ready_clock = now
                    ready.append(child)
        return ready

    def forgive(self, seconds: float) -> None:
        """Nobody looked for so long; that counts against no child."""
        for child in self.running.values():
            child.overslept(seconds)

    def stop_the_stuck(self) -> None:
        """ABRT, for the stacks, and then KILL to those that show no sign of life."""
        now = boot_clock()
        for child in self.running.values():
            if child.stacks_clock is not None:
                if now >= child.stacks_clock + _STACKS_SECONDS:
                    child.send(signal.SIGKILL)
                continue
            trouble = _trouble(child, now)
            if trouble:
                logger.error("child is stuck; its stacks follow", child=child.name, child_pid=child.pid)
                child.stacks_clock, child.stuck = now, trouble
                child.send(signal.SIGABRT)

    def send_all(self, number: signal.Signals) -> None:
        """The same signal to each."""
        for child in self.running.values():
            child.send(number)


def _title(key: str, name: str) -> str:
    if key == CLERK:
        return "tallyman: clerk"
    return f"tallyman: {name}" if key.startswith(EXAMINER) else f"tallyman: worker[{name}] starting"


def _trouble(child: Child, now: float) -> str:
    if child.ready_clock is None and now - child.started_clock > BOOT_SECONDS:
        return f"it was not ready {BOOT_SECONDS:g} s after its start"
    if now - child.seen_clock > STALL_SECONDS:
        return f"it showed no sign of life for {STALL_SECONDS:g} s"
    return ""

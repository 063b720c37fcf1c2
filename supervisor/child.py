"""A running child, as its parent knows it."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass

from supervisor.worker.breadcrumb import Breadcrumbs

CLERK = "clerk"
EXAMINER = "examiner:"  # and the id of the request


@dataclass(slots=True)
class Child:
    """`key` is a host's id, CLERK, or EXAMINER with a request's id. Times are on the boot clock.

    It is signalled by its pidfd, so never another process that got its pid; it shows its progress and hears
    words over pipes. `stacks` is memory to which it writes where its threads were when it crashed; `crumbs`
    tell what it was at; `memory_kills` is how many of our control group the kernel had killed at its start;
    `stuck` says why its master gave it up, if it did.
    """

    key: str
    name: str
    pid: int
    pidfd: int
    progress: int
    control: int
    start_ticks: int
    started_clock: float
    seen_clock: float
    ready_clock: float | None = None
    row_key: str = ""
    stacks_clock: float | None = None
    stuck: str = ""
    holds_host: bool = False
    stacks: int = -1
    crumbs: Breadcrumbs | None = None
    memory_kills: int | None = None

    @property
    def is_worker(self) -> bool:
        """Whether it holds, or is to hold, a host."""
        return self.key != CLERK and not self.request

    @property
    def request(self) -> str:
        """The id of the request that an examiner is for; empty for all others."""
        return self.key.removeprefix(EXAMINER) if self.key.startswith(EXAMINER) else ""

    def tell(self, word: bytes) -> None:
        """Say something over the control pipe; a full one has enough to read already."""
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            os.write(self.control, word)

    def send(self, number: signal.Signals) -> None:
        """Signal this process, and never another one that got its pid."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, number)

    def overslept(self, seconds: float) -> None:
        """Its master did not look for so long (the machine slept, say): that is no fault of the child's."""
        self.started_clock += seconds
        self.seen_clock += seconds
        if self.stacks_clock is not None:
            self.stacks_clock += seconds

    def close(self) -> None:
        """Let its descriptors go."""
        for descriptor in self.descriptors():
            os.close(descriptor)
        if self.crumbs:
            self.crumbs.close()

    def descriptors(self) -> tuple[int, ...]:
        """Everything that its parent holds of it."""
        return self.pidfd, self.progress, self.control, self.stacks

    def said_when_it_crashed(self) -> str:
        """Where its threads were, as faulthandler wrote it; empty if it did not crash."""
        size = os.fstat(self.stacks).st_size
        return os.pread(self.stacks, size, 0).decode(errors="replace")

    def progress_said(self) -> bytes:
        """What it wrote to its progress pipe since the last look."""
        try:
            return os.read(self.progress, 65536)
        except BlockingIOError:
            return b""

    def exit_code(self) -> int | None:
        """Reap it if it has ended: its exit code, or minus the signal that ended it; None while it runs."""
        result = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOHANG)
        if result is None:
            return None
        return result.si_status if result.si_code == os.CLD_EXITED else -result.si_status

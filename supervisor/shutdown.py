"""Ending all children in order and within a time: workers first, then the clerk, by force in the end."""

from __future__ import annotations

import signal
from collections.abc import Callable

import structlog

from hosts.identity import boot_clock
from supervisor.child import Child
from supervisor.children import Children
from supervisor.signals import SignalInbox
from supervisor.worker.inbox import Wake
from supervisor.worker_process import HURRY

logger = structlog.get_logger(__name__)

_STOP = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}
# For the kernel to end what was killed; what hangs inside it, on a dead file server say, is not waited for.
_KILLED_WITHIN_SECONDS = 1.0


class Shutdown:
    """TERM to the workers, then to the clerk, then KILL to what is left; containers run on.

    `bury` reaps, `tell` logs the status of every process. `told_to_stop` is True once a signal to stop has
    come meanwhile; one hurries the children.
    """

    def __init__(
        self,
        children: Children,
        signals: SignalInbox,
        wake: Wake,
        *,
        bury: Callable[[], None],
        tell: Callable[[], None],
    ) -> None:
        self._children, self._signals, self._wake = children, signals, wake
        self._bury, self._tell = bury, tell
        self.told_to_stop = False

    def run(self, timeout_seconds: float) -> None:
        """Return when no child is left."""
        until = boot_clock() + timeout_seconds
        for child in self._children.workers():
            child.send(signal.SIGTERM)
        # A clerk that a hung database holds needs its time, too.
        self._await(self._children.workers, until - timeout_seconds / 2)
        self._children.send_all(signal.SIGTERM)
        self._await(lambda: list(self._children.running.values()), until)
        for child in self._children.running.values():
            logger.warning("child did not end in time", child=child.name, child_pid=child.pid)
        self._children.send_all(signal.SIGKILL)
        self._await(lambda: list(self._children.running.values()), boot_clock() + _KILLED_WITHIN_SECONDS)
        for child in self._children.running.values():
            logger.error("child hangs in the kernel, and is left", child=child.name, child_pid=child.pid)
            child.close()
        self._children.running.clear()

    def _await(self, whom: Callable[[], list[Child]], until: float) -> None:
        while whom() and boot_clock() < until:
            self._wake.wait(until - boot_clock(), also=[child.pidfd for child in whom()])
            self._act_on(set(self._signals.take()))
            self._bury()

    def _act_on(self, seen: set[signal.Signals]) -> None:
        if signal.SIGUSR1 in seen:
            self._tell()
        if not seen & _STOP:
            return
        self.told_to_stop = True
        for child in self._children.running.values():
            # A worker that is hurried still gives its host back.
            if child.is_worker and signal.SIGQUIT not in seen:
                child.tell(HURRY)
            else:
                child.send(signal.SIGQUIT)

"""Ending all children in order and within a time: workers first, then the clerk, by force in the end."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import structlog

from hosts.identity import boot_clock
from supervisor.child import Child
from supervisor.children import Children
from supervisor.signals import SignalInbox
from supervisor.worker.inbox import Wake

logger = structlog.get_logger(__name__)

_HURRY = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}


class Shutdown:
    """TERM to the workers, then to the clerk, then KILL to what is left; containers run on.

    `bury` reaps. `told_to_stop` is True once a signal to stop has come meanwhile; one hurries the children.
    """

    def __init__(
        self, children: Children, signals: SignalInbox, wake: Wake, bury: Callable[[], None]
    ) -> None:
        self._children, self._signals, self._wake, self._bury = children, signals, wake, bury
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
        for child in list(self._children.running.values()):
            logger.warning("child did not end in time", child=child.name, child_pid=child.pid)
            child.send(signal.SIGKILL)
            os.waitid(os.P_PIDFD, child.pidfd, os.WEXITED)
            child.close()
        self._children.running.clear()

    def _await(self, whom: Callable[[], list[Child]], until: float) -> None:
        while whom() and boot_clock() < until:
            self._wake.wait(until - boot_clock(), also=[child.pidfd for child in whom()])
            if _HURRY & set(self._signals.take()):
                self.told_to_stop = True
                self._children.send_all(signal.SIGQUIT)
            self._bury()

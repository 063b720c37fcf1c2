"""A thread that only tells what the engine's events hint at."""

from __future__ import annotations

import threading

import structlog

from hosts.errors import EngineError
from hosts.executors.contract import ContainerExecutor, Hint
from hosts.executors.stop import Stop
from supervisor.worker.inbox import Inbox

logger = structlog.get_logger(__name__)

# What follows from our own steps, whose answers wake the main thread.
_NO_NEWS = {"create", "start", "destroy"}
# How often each container of an executor that hears of nothing is looked at.
_LOOK_SECONDS = 2.0
_RECONNECT_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)


class Watcher:
    """Follows the engine's events from `start` on. Hints go to the inbox; a lost connection is made again."""

    def __init__(self, executor: ContainerExecutor, inbox: Inbox) -> None:
        self._executor, self._inbox = executor, inbox
        self._stop = Stop()
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)

    def start(self) -> None:
        """The engine answers: listen to it. Again and again is as once."""
        if self._thread.ident is None and not self._stop.is_set():
            self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end; it does within a second."""
        self._stop.set()
        if self._thread.ident is None:
            self._stop.close()

    def _run(self) -> None:
        try:
            self._follow()
        finally:
            self._stop.close()

    def _follow(self) -> None:
        if not self._executor.capabilities.hints:
            self._remind()
        failures = 0
        while not self._stop.is_set():
            try:
                for hint in self._executor.watch(self._stop):
                    failures = 0
                    self._hint(hint)
            except EngineError as exc:
                logger.debug("events lost", reason=str(exc))
            except Exception:  # hints may fail; the regular look finds everything without them
                logger.exception("events crashed")
            if not self._stop.is_set():
                self._hint(Hint(container_id=None, action="disconnected"))
                self._stop.wait(_RECONNECT_SECONDS[min(failures, len(_RECONNECT_SECONDS) - 1)])
                failures += 1

    def _remind(self) -> None:
        """Say now and then that it is time to look; a hint of nothing else ever comes."""
        while not self._stop.wait(_LOOK_SECONDS):
            self._hint(Hint(container_id=None, action="look"))

    def _hint(self, hint: Hint) -> None:
        # Each action apart: a memory kill must not vanish behind the exit that follows it.
        is_news = hint.action not in _NO_NEWS
        if hint.action == "start":  # perhaps long after it was asked for
            is_news = self._executor.capabilities.starts_later
        self._inbox.put_latest((hint.container_id, hint.action), hint, wake=is_news)

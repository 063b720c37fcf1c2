"""Hints made of looking: Cloud Run tells nobody of an end, but one list shows all Jobs with theirs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator

from hosts.executors.contract import Hint, Observation

LOOK_EVERY_SECONDS = 3.0
_STOP_IS_SEEN_WITHIN_SECONDS = 0.5


def watch(look: Callable[[], Iterable[Observation]], stop: threading.Event) -> Iterator[Hint]:
    """A hint for each container that ended since the last look; `look` gives all of the installation."""
    ended = {seen.container_id for seen in look() if seen.state == "exited"}
    yield Hint(container_id=None, action="connected")
    while not _stopped_within(LOOK_EVERY_SECONDS, stop):
        now_ended = {seen.container_id: seen for seen in look() if seen.state == "exited"}
        for container_id, seen in now_ended.items():
            if container_id not in ended:
                yield Hint(
                    container_id=container_id, action="die", at=seen.finished_at, job=seen.label("job")
                )
        ended = set(now_ended)


def _stopped_within(seconds: float, stop: threading.Event) -> bool:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if stop.wait(min(left, _STOP_IS_SEEN_WITHIN_SECONDS)):
            return True
    return stop.is_set()

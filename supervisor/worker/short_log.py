"""Reading a short log in one go, on the thread that has seen its container's exit.

Most logs that are read after an exit are a few lines, there at once. To hand each to the log pump costs
three wake-ups between threads and a turn of the worker, more than to read it. What is long or slow is the
pump's all the same.
"""

from __future__ import annotations

import select
import time
from dataclasses import dataclass

from hosts.executors.log_source import LogSource

MOST_BYTES = 32 * 1024
MOST_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class ShortLog:
    """All frames of a source that came to its end, and what it says is missing."""

    frames: bytes
    missing: str


class BegunLog:
    """A LogSource of which something was read already, which it gives once more: read it without waiting."""

    def __init__(self, source: LogSource, frames: bytes) -> None:
        self._source, self._frames = source, frames

    def fileno(self) -> int:
        """The source's own: what follows makes it readable."""
        return self._source.fileno()

    @property
    def missing(self) -> str:
        """What the source says."""
        return self._source.missing

    def read(self, budget: int) -> bytes | None:
        """What was read already, then what the source has."""
        if self._frames:
            frames, self._frames = self._frames, b""
            return frames
        return self._source.read(budget)

    def close(self) -> None:
        """Let the source go."""
        self._source.close()


def read(source: LogSource) -> ShortLog | BegunLog:
    """The log if it comes to its end soon, else its source, nothing of it lost. Raises as a source does."""
    until = time.monotonic() + MOST_SECONDS
    frames = b""
    try:
        while (data := source.read(MOST_BYTES)) is not None:
            frames += data
            if len(frames) > MOST_BYTES or not (data or _more(source, until)):
                return BegunLog(source, frames)
    except BaseException:
        source.close()
        raise
    source.close()
    return ShortLog(frames, source.missing)


def _more(source: LogSource, until: float) -> bool:
    """Wait for more, or for the end; False: it takes too long, or only reading again and again could tell."""
    left = until - time.monotonic()
    if source.fileno() < 0 or left <= 0:
        return False
    poll = select.poll()
    poll.register(source.fileno(), select.POLLIN)
    return bool(poll.poll(left * 1000))

"""Events of CloudWatch Logs as frames, and which of them are stored already. Pure.

An event is one line, its time in milliseconds. Both streams of a container come as one, and a line comes
without its end: so all is stdout, and each line is given one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from zlib import crc32

from hosts.executors import frames
from hosts.executors.frames import PIECE_BYTES, STDOUT, Frame
from hosts.executors.log_source import Resume

_OVERLAP_MS = 3_000
_NANOSECONDS = 1_000_000  # in a millisecond
MISSING = "CloudWatch does not show a part of the log any more that was read before."


def frames_of(events: Iterable[Mapping[str, Any]]) -> Iterator[Frame]:
    """A frame for each event, or several for a long line."""
    for event in events:
        time = frames.stamp(int(event["timestamp"]) * _NANOSECONDS)
        line = str(event["message"]).encode(errors="replace") + b"\n"
        for start in range(0, len(line), PIECE_BYTES):
            yield Frame(STDOUT, time, line[start : start + PIECE_BYTES])


class Stored:
    """Leaves out what is stored, once each. Events are in the order of their times, so that tells enough."""

    def __init__(self, resume: Resume) -> None:
        self.start_ms: int | None = None
        self._tail: Counter[tuple[bytes, int]] = Counter()
        self._bytes = 0
        if resume.tail:
            newest, covers = _milliseconds(resume.newest), _milliseconds(resume.covers)
            self.start_ms = max(0, newest - _OVERLAP_MS, covers)
            since = frames.stamp(self.start_ms * _NANOSECONDS)
            self._tail.update(_key(frame) for frame in frames.walk(resume.tail) if frame.time >= since)
        elif resume.newest:
            self._bytes = resume.stdout_bytes

    @property
    def is_met(self) -> bool:
        """Whether all that is stored has come again."""
        return not self._tail and not self._bytes

    def left_out(self, given: Iterable[Frame]) -> Iterator[Frame]:
        """Those that are new."""
        for frame in given:
            key = _key(frame)
            if self._tail.get(key):
                self._tail[key] -= 1
                if not self._tail[key]:
                    del self._tail[key]
            elif self._bytes:
                rest = frame.payload[self._bytes :]
                self._bytes -= len(frame.payload) - len(rest)
                if rest:
                    yield Frame(frame.stream, frame.time, rest)
            else:
                yield frame


def _key(frame: Frame) -> tuple[bytes, int]:
    return frame.time, crc32(frame.payload)


def _milliseconds(time: str) -> int:
    return frames.nanoseconds(frames.moment(time)) // _NANOSECONDS if time else 0

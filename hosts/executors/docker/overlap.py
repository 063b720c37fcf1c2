"""Where to take up a log again, and which of its frames are stored already. Pure.

An engine can be asked for what came since a time, but its records are not in the order of their times, so we
ask for a little more than is missing and drop what is stored. Engines keep records in the order they were
written in, so what is stored is always the first part of what they hold.

A line longer than 16,384 bytes comes in pieces that *all* carry the time of the first one, however late
they are written (a progress bar that ends no line may write such pieces for hours). A log whose last line may
be unfinished like that is not taken up by time: it is read from its start, and as many bytes are dropped.
"""

from __future__ import annotations

import calendar
import time
from collections import Counter
from collections.abc import Mapping
from zlib import crc32

from hosts.executors.contract import Resume
from hosts.executors.frames import STDERR, STDOUT, Frame, pack, stamp, walk

OVERLAP_NANOSECONDS = 3_000_000_000
PIECE_BYTES = 16_384

_Key = tuple[bytes, int, int]


class Overlap:
    """Drops the frames that are stored, once each. `done` turns true when only new ones can follow."""

    def __init__(self, resume: Resume) -> None:
        self.since = ""
        self._stored: Counter[_Key] = Counter()
        self._until = b""
        self._left = {STDOUT: 0, STDERR: 0}
        self._bare: dict[int, bytes] = {}
        if resume.newest:
            self._plan(resume, list(walk(resume.tail)))

    @property
    def done(self) -> bool:
        """Whether nothing that is stored can come any more."""
        return not (self._stored or self._bare or any(self._left.values()))

    def keep(self, data: bytes) -> bytes:
        """The frames in `data` (whole ones) that are not stored yet."""
        if self.done:
            return data
        new = self._new_by_time if self._until else self._new_by_count
        return b"".join(pack(*frame) for frame in map(new, walk(data)) if frame)

    def _plan(self, resume: Resume, tail: list[Frame]) -> None:
        newest = _nanoseconds(resume.newest)
        since = max(0, newest - OVERLAP_NANOSECONDS)
        counts = {STDOUT: resume.stdout_bytes, STDERR: resume.stderr_bytes}
        last = {frame.stream: frame for frame in tail}
        if _safe_by_time(counts, last, stamp(since)):
            self.since = f"{since // 1_000_000_000}.{since % 1_000_000_000:09d}"
            self._until = stamp(newest + OVERLAP_NANOSECONDS)
            self._stored.update(_key(frame) for frame in tail if frame.time >= stamp(since))
        else:
            self._left = counts
            self._bare = {frame.stream: frame.time for frame in last.values() if not frame.payload}

    def _new_by_time(self, frame: Frame) -> Frame | None:
        if frame.time > self._until:
            self._stored.clear()
        key = _key(frame)
        if key not in self._stored:
            return frame
        self._stored[key] -= 1
        if not self._stored[key]:
            del self._stored[key]
        return None

    def _new_by_count(self, frame: Frame) -> Frame | None:
        stream, moment, payload = frame
        left = self._left.get(stream, 0)
        if left:
            self._left[stream] = max(0, left - len(payload))
            return Frame(stream, moment, payload[left:]) if len(payload) > left else None
        # A frame without payload counts nothing: only its time tells whether the last stored one is back.
        last = self._bare.pop(stream, None)
        return None if moment == last and not payload else frame


def _safe_by_time(counts: Mapping[int, int], last: Mapping[int, Frame], since: bytes) -> bool:
    known = all(stream in last for stream, count in counts.items() if count)
    return known and not any(frame.time < since and _is_unfinished(frame) for frame in last.values())


def _is_unfinished(frame: Frame) -> bool:
    return len(frame.payload) == PIECE_BYTES and not frame.payload.endswith(b"\n")


def _key(frame: Frame) -> _Key:
    return frame.time, frame.stream, crc32(frame.payload)


def _nanoseconds(moment: str) -> int:
    seconds = calendar.timegm(time.strptime(moment[:19], "%Y-%m-%dT%H:%M:%S"))
    return seconds * 1_000_000_000 + int(moment[19:].strip(".Z").ljust(9, "0") or 0)

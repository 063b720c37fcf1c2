"""Where to take up a log again, and which of its frames are stored already. Pure.

An engine can be asked for what came since a time, but its records are not in the order of their times, so we
ask for a little more than is missing and drop what is stored. Engines keep records in the order they were
written in, so what is stored is always the first part of what they hold.

A line longer than 16,384 bytes comes in pieces that *all* carry the time of the first one, however late
they are written (a progress bar that ends no line may write such pieces for hours). A log whose last line may
be unfinished like that is not taken up by time: it is read from its start, and as many bytes are dropped.

Engines since 23 filter by time only up to the first record that is new enough, and send all that follow it,
older ones too; engines before drop each older one. Both are right here.
"""

from __future__ import annotations

import calendar
import time
from collections import Counter
from collections.abc import Mapping
from zlib import crc32

from hosts.executors.frames import STDERR, STDOUT, Frame, first_since, last_of_each, pack, stamp, walk
from hosts.executors.log_source import Resume

OVERLAP_NANOSECONDS = 3_000_000_000
# Two streams' records may change places by so much; a tail that covers less is of no use.
LEAST_OVERLAP_NANOSECONDS = 5_000_000
PIECE_BYTES = 16_384

_Key = tuple[bytes, int, int]
_NOTHING: _Key = (b"", 0, 0)


class Overlap:
    """Drops the frames that are stored, once each. `done` turns true when only new ones can follow.

    `broken` turns true when frames that are stored do not come again: the engine has dropped them, and
    nobody can tell how much of what came after them.
    """

    def __init__(self, resume: Resume) -> None:
        self.since = ""
        self.broken = False
        self._stored: Counter[_Key] = Counter()
        self._older: Counter[_Key] = Counter()
        self._until = b""
        self._met = False
        self._newest = resume.newest.encode()
        self._first = b""
        self._left = {STDOUT: 0, STDERR: 0}
        self._bare: dict[int, bytes] = {}
        self._same, self._place = b"", 0  # stored frames; those from the place on are expected next, in order
        if resume.newest:
            self._plan(resume)

    @property
    def done(self) -> bool:
        """Whether nothing that is stored can come any more."""
        return not (self._same or self._stored or self._older or self._bare or any(self._left.values()))

    def end(self) -> None:
        """The log, read up to an end that is proved, has no more frames."""
        self.broken = self.broken or bool(self._same or self._stored or any(self._left.values()))

    def keep(self, data: bytes) -> bytes:
        """The frames in `data` (whole ones) that are not stored yet."""
        if self._first and data:
            self._check_start(data)
        if self._same and data:
            data = self._after_the_same(data)
        if self.done:
            return data
        new = self._new_by_time if self._until else self._new_by_count
        return b"".join(pack(*frame) for frame in map(new, walk(data)) if frame)

    def _after_the_same(self, data: bytes) -> bytes:
        """What follows the expected frames in `data`; all of it, if it is not them that come."""
        size = min(len(data), len(self._same) - self._place)
        if self._same.startswith(data[:size], self._place):
            # Nearly always: engines send again what they sent before, and comparing bytes costs nothing.
            self._place, self._met = self._place + size, True
            if self._place == len(self._same):
                self._same = b""
            return data[size:]
        self._stored.update(map(_key, walk(self._same[self._place :])))
        self._same = b""
        return data

    def _plan(self, resume: Resume) -> None:
        newest = _nanoseconds(resume.newest)
        covered = _nanoseconds(resume.covers) if resume.covers else 0
        since = max(0, newest - OVERLAP_NANOSECONDS, covered)
        counts = {STDOUT: resume.stdout_bytes, STDERR: resume.stderr_bytes}
        last = last_of_each(resume.tail)
        reaches_back = newest - since >= LEAST_OVERLAP_NANOSECONDS or not covered
        if reaches_back and _safe_by_time(counts, last, stamp(since)):
            self.since = f"{since // 1_000_000_000}.{since % 1_000_000_000:09d}"
            self._until = stamp(newest + OVERLAP_NANOSECONDS)
            self._expect(resume.tail, stamp(since))
        else:
            self._left, self._first = counts, resume.first
            self._bare = {frame.stream: frame.time for frame in last.values() if not frame.payload}

    def _expect(self, tail: bytes, since: bytes) -> None:
        place, in_order = first_since(tail, since)
        if in_order:
            self._same = tail[place:]
            return
        for frame in walk(tail[place:]):
            (self._stored if frame.time >= since else self._older)[_key(frame)] += 1

    def _check_start(self, data: bytes) -> None:
        """A log that begins later than the stored one cannot be taken up by count: go by time alone."""
        if not data.startswith(self._first):
            self.broken, self._until = True, self._newest
            self._left, self._bare = {}, {}
            self._stored[_NOTHING] = 1  # until something newer than all that is stored has come
        self._first = b""

    def _new_by_time(self, frame: Frame) -> Frame | None:
        if frame.time > self._until:
            self.broken = self.broken or bool(self._stored)
            self._stored.clear()
            self._older.clear()
        key = _key(frame)
        for known in (self._stored, self._older):
            if key in known:
                known[key] -= 1
                if not known[key]:
                    del known[key]
                self._met = True
                return None
        # What is stored is the first part of a log: before any of it comes again, nothing old is new.
        is_old = frame.time <= self._newest and (not self._met or _NOTHING in self._stored)
        return None if is_old else frame

    def _new_by_count(self, frame: Frame) -> Frame | None:
        stream, moment, payload = frame
        left = self._left.get(stream, 0)
        if left:
            self._left[stream] = max(0, left - len(payload))
            return Frame(stream, moment, payload[left:]) if len(payload) > left else None
        # A frame without payload counts nothing: only its time tells whether the last stored one is back.
        last = self._bare.get(stream)
        if last is None:
            return frame
        if payload or moment == last:
            del self._bare[stream]
        return frame if payload else None


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

"""Frames made of the log of a container with a terminal, which an engine sends without any. Pure.

Such a log comes as its records one after the other: time, space, what was written. A record ends with its
newline; the pieces of a line longer than 16,384 bytes are that long, and have one time. The last piece of
such a line is the hard one, as the driver `local` forgets its newline: it ends where the next record's time
stands, which the terminal's carriage return comes before (a terminal in raw mode writes none, so that any
time serves if there is no such place).
"""

from __future__ import annotations

import re

from hosts.errors import DockerConnectionError
from hosts.executors.frames import PIECE_BYTES, STDOUT, TIME_BYTES, pack

_TIME = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z "
_RECORD = re.compile(_TIME)
_AFTER_RETURN = re.compile(rb"(?<=\r)" + _TIME)
_PREFIX_BYTES = TIME_BYTES + 1


class TerminalSplitter:
    """Takes the log as it comes, gives whole frames of stdout; see the module."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._rest = b""
        self._line = b""  # the time of the line that the record before was a piece of

    def feed(self, data: bytes) -> bytes:
        """A frame for every record that is whole by now; DockerConnectionError if this cannot be a log."""
        self._rest += data
        return self._take(over=False)

    def end(self, *, proved: bool) -> bytes:
        """The last record, which may have no end, if this is `proved` to be the end of the log."""
        frames = self._take(over=True) if proved else b""
        self._rest = b""
        return frames

    def _take(self, *, over: bool) -> bytes:
        data, place, frames = self._rest, 0, []
        while len(data) - place >= _PREFIX_BYTES:
            if not _RECORD.match(data, place):
                raise self._broken()
            time = data[place : place + TIME_BYTES]
            start = place + _PREFIX_BYTES
            end = self._end_of_record(data, start, time, over=over)
            if end < 0:
                break
            self._line = time if end - start == PIECE_BYTES and data[end - 1 : end] != b"\n" else b""
            frames.append(pack(STDOUT, time, data[start:end]))
            place = end
        self._rest = data[place:]
        if over and self._rest:
            raise self._broken()
        return b"".join(frames)

    def _end_of_record(self, data: bytes, start: int, time: bytes, *, over: bool) -> int:
        """Where the record ends whose payload starts here; -1 if that cannot be known yet."""
        longest = start + PIECE_BYTES
        newline = data.find(b"\n", start, longest + _PREFIX_BYTES)
        if time == self._line:
            seen = newline if newline >= 0 else len(data)
            if newline < 0 and seen < longest + _PREFIX_BYTES and not over:
                return -1
            for pattern in (_AFTER_RETURN, _RECORD):
                for found in pattern.finditer(data, start, min(seen, longest + _PREFIX_BYTES)):
                    if found.group() >= time:
                        return found.start()
        if start <= newline < longest:
            return newline + 1
        if len(data) >= longest:
            return longest
        return len(data) if over else -1

    def _broken(self) -> DockerConnectionError:
        return DockerConnectionError(f"{self._name}: the terminal's log holds something that is no record.")

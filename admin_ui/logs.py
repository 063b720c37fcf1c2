"""The whole of an attempt's log in pieces, for downloads. Reads only."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from operator import itemgetter

from hosts.executors import frames
from jobs import logs
from jobs.log_lines import STREAMS
from jobs.log_text import strip_ansi
from jobs.models import Attempt

_LONGEST_ESCAPE = 4096


def raw(attempt: Attempt, stream: str) -> Iterator[bytes]:
    """All that is kept of a stream (or `all`, in the order they came), as the container wrote it."""
    joiners = {one: frames.Joiner() for one in STREAMS[stream]}
    for chunk in logs.Reader(attempt.pk).new():
        for one in set(joiners).intersection(chunk.left_out):
            joiners[one].skip()
        for one, group in itertools.groupby(frames.walk(chunk.data), key=itemgetter(0)):
            if one in joiners:
                yield b"".join(joiners[one].payload(frame) for frame in group)


def plain(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same without escape sequences, byte for byte otherwise; one may lie across two pieces."""
    rest = b""
    for piece in pieces:
        data = rest + piece
        # A sequence never goes on over the end of a line, as far as anybody writes one.
        cut = data.rfind(b"\x1b")
        whole = cut < 0 or b"\n" in data[cut:] or len(data) - cut > _LONGEST_ESCAPE
        data, rest = (data, b"") if whole else (data[:cut], data[cut:])
        yield _plain(data)
    yield _plain(rest)


def _plain(data: bytes) -> bytes:
    # Bytes that are no UTF-8 pass as they are, even where a character was cut in two.
    return strip_ansi(data.decode(errors="surrogateescape")).encode(errors="surrogateescape")

"""The part of an attempt's log that a page shows: its end, as text, stream by stream. Reads only."""

from __future__ import annotations

import codecs
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter

from django.db.models import F, Max

from hosts.executors import frames
from jobs import logs
from jobs.models import Attempt, LogChunk

STREAMS = {"stdout": (frames.STDOUT,), "stderr": (frames.STDERR,), "all": (frames.STDOUT, frames.STDERR)}
GAP = "gap"
_NAMES = {**frames.NAMES, 0: GAP}


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of a log: pairs of stream name and text, and how many bytes before it are left out.

    The name `gap` stands before a mark for what the cap left out of the log.
    """

    parts: list[tuple[str, str]]
    left_out: int


def tail(attempt: Attempt, stream: str, *, limit: int) -> Tail:
    """The last bytes of a stream (or `all`, in the order they came): whole chunks, up to about `limit`."""
    streams = STREAMS[stream]
    seq, left_out = _start(attempt, streams, limit)
    decoders = {one: codecs.getincrementaldecoder("utf-8")("replace") for one in streams}
    decoders[0] = codecs.getincrementaldecoder("utf-8")("replace")
    pieces = _pieces(attempt, streams, after_seq=seq - 1, marked=True)
    parts = [
        (_NAMES[one], "".join(decoders[one].decode(data) for _, data in group))
        for one, group in itertools.groupby(pieces, key=itemgetter(0))
    ]
    return Tail(parts, left_out)


def raw(attempt: Attempt, stream: str) -> Iterator[bytes]:
    """All that is kept of a stream (or `all`, in the order they came), as the container wrote it."""
    for _, data in _pieces(attempt, STREAMS[stream], after_seq=-1):
        yield data


def _start(attempt: Attempt, streams: tuple[int, ...], limit: int) -> tuple[int, int]:
    """The chunk to begin with, and the bytes before it."""
    total = sum(getattr(attempt, f"{_NAMES[one]}_bytes") for one in streams)
    if total <= limit:
        return 0, 0
    before = sum(
        (F(f"{_NAMES[one]}_bytes_before") for one in streams[1:]), F(f"{_NAMES[streams[0]]}_bytes_before")
    )
    chunks = LogChunk.objects.filter(attempt=attempt).annotate(before=before)
    first = chunks.filter(before__gte=total - limit).order_by("seq").values_list("seq", "before").first()
    if first is None:  # the last chunk alone is larger than the limit
        last = chunks.aggregate(seq=Max("seq"))["seq"]
        first = chunks.values_list("seq", "before").get(seq=last)
    return first


def _pieces(
    attempt: Attempt, streams: tuple[int, ...], *, after_seq: int, marked: bool = False
) -> Iterator[tuple[int, bytes]]:
    """Parts of the streams, and stream 0 for what is said of a gap if it is to be `marked`."""
    joiners = {one: frames.Joiner() for one in streams}
    for chunk in logs.Reader(attempt.pk, after_seq=after_seq).new():
        for one in set(streams).intersection(chunk.left_out):
            joiners[one].skip()
            if marked:
                yield 0, f"\n{logs.mark(chunk.left_out[one], _NAMES[one])}\n".encode()
        for one, group in itertools.groupby(frames.walk(chunk.data), key=itemgetter(0)):
            if one in joiners:
                yield one, b"".join(joiners[one].payload(frame) for frame in group)

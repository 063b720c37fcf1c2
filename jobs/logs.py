"""Appending to an attempt's log, and reading it back.

What is stored is what the engine sent: whole frames, in the order they came. Streams, lines and text are
made of it when somebody looks.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import connection, models

from hosts.executors import frames
from hosts.executors.contract import Resume
from jobs import batches
from jobs.archive import ARCHIVABLE
from jobs.batches import Row
from jobs.models import Attempt, LogChunk
from jobs.states import OPEN_STATES

OVERLAP = timedelta(seconds=4)
_COMPRESSION = 1  # 0.27 of the size at 130 MB/s; level 6 costs three times as much for little more


@dataclass(frozen=True, slots=True)
class Piece:
    """Frames that are next in an attempt's log, with what a chunk's row says of them."""

    data: bytes
    tally: frames.Tally

    @classmethod
    def of(cls, data: bytes) -> Piece:
        """Compress and count; done by the thread that read the frames."""
        return cls(zlib.compress(data, _COMPRESSION), frames.tally(data))


_COLUMNS: dict[str, Any] = {
    "attempt_id": Attempt._meta.get_field("id"),
    **{name: Attempt._meta.get_field(name) for name in ("epoch", "next_seq", "log_cursor")},
    **{name: LogChunk._meta.get_field(name) for name in ("data", "first_at", "last_at", "raw_bytes")},
    **{
        f"{stream}_{what}": Attempt._meta.get_field(f"{stream}_{what}")
        for stream in ("stdout", "stderr")
        for what in ("bytes", "lines")
    },
}
_COUNTERS = ("stdout_bytes", "stderr_bytes", "stdout_lines", "stderr_lines")


def row(attempt_id: UUID, epoch: int, next_seq: int, piece: Piece) -> Row:
    """One row for `append`."""
    return {
        "attempt_id": attempt_id,
        "epoch": epoch,
        "next_seq": next_seq,
        "log_cursor": piece.tally.newest,
        "data": piece.data,
        "first_at": piece.tally.first_at,
        "last_at": piece.tally.last_at,
        "raw_bytes": piece.tally.raw_bytes,
        **{name: getattr(piece.tally, name) for name in _COUNTERS},
    }


def append(rows: Sequence[Row]) -> set[UUID]:
    """Store one chunk per attempt, each only if it is the next one of an attempt that is still ours."""
    counted = ", ".join(f"{name} = a.{name} + x.{name}" for name in _COUNTERS)
    update = (
        "UPDATE jobs_attempt AS a SET next_seq = x.next_seq + 1, "
        "log_cursor = CASE WHEN x.log_cursor > a.log_cursor THEN x.log_cursor ELSE a.log_cursor END, "
        f"{counted} FROM x WHERE a.id = x.attempt_id AND a.epoch = x.epoch AND a.next_seq = x.next_seq "
        f"AND (a.state IN ({', '.join(repr(str(state.value)) for state in OPEN_STATES)}) OR {ARCHIVABLE})"
    )
    before = ", ".join(f"{name}_before" for name in _COUNTERS)
    insert = (
        f"INSERT INTO jobs_logchunk (attempt_id, seq, data, first_at, last_at, raw_bytes, {before}) "
        "SELECT m.attempt_id, m.next_seq, m.data, m.first_at, m.last_at, m.raw_bytes, "
        f"{_counters_before()} FROM m JOIN jobs_attempt AS c ON c.id = m.attempt_id"
    )
    return batches.guarded(_COLUMNS, rows, update, [insert])


def _counters_before() -> str:
    # PostgreSQL's CTEs all see the row as it was; on SQLite the UPDATE has been done already.
    minus = "" if connection.vendor == "postgresql" else " - m.{0}"
    return ", ".join(f"c.{name}{minus.format(name)}" for name in _COUNTERS)


def resume_point(attempt: Attempt) -> Resume:
    """Where the stored log of the attempt ends, with the frames that `Resume.tail` promises."""
    return Resume(
        newest=attempt.log_cursor,
        tail=b"".join(zlib.decompress(data) for data in _tail(attempt)) if attempt.log_cursor else b"",
        stdout_bytes=attempt.stdout_bytes,
        stderr_bytes=attempt.stderr_bytes,
    )


def _tail(attempt: Attempt) -> Iterator[bytes]:
    """The chunks of the last seconds, and the last one with something of each stream, however old."""
    chunks = LogChunk.objects.filter(attempt=attempt)
    wanted = models.Q(last_at__gte=frames.moment(attempt.log_cursor) - OVERLAP)
    for stream in ("stdout", "stderr"):
        holds_some = {f"{stream}_bytes_before__lt": getattr(attempt, f"{stream}_bytes")}
        wanted |= models.Q(seq__in=chunks.filter(**holds_some).order_by("-seq").values("seq")[:1])
    for data in chunks.filter(wanted).order_by("seq").values_list("data", flat=True):
        yield bytes(data)


def read(attempt_id: UUID, *, after_seq: int = -1) -> Iterator[tuple[int, bytes]]:
    """The stored chunks after a number, as (seq, frames), oldest first, a few in memory at a time."""
    chunks = LogChunk.objects.filter(attempt_id=attempt_id, seq__gt=after_seq).order_by("seq")
    for seq, data in chunks.values_list("seq", "data").iterator(chunk_size=16):
        yield seq, zlib.decompress(data)


def stream_bytes(attempt_id: UUID, stream: int) -> Iterator[bytes]:
    """One stream of an attempt (1 stdout, 2 stderr) as the container wrote it, in pieces."""
    joiner = frames.Joiner()
    for _, data in read(attempt_id):
        for frame in frames.walk(data):
            if frame.stream == stream:
                yield joiner.payload(frame)

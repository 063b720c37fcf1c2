"""Appending to an attempt's log, and reading it back.

What is stored is what the engine sent: whole frames, in the order they came. Streams, lines and text are
made of it when somebody looks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from hosts.executors import frames
from hosts.executors.log_source import Resume
from jobs import batches, deflate
from jobs.archive import ARCHIVABLE
from jobs.batches import Row
from jobs.models import Attempt, LogChunk
from jobs.states import OPEN_STATES

OVERLAP = timedelta(seconds=4)
TAIL_BYTES = 8 * 1024 * 1024  # what resuming may hold in memory of a container that writes very much
# All of the tail is read from the engine once more, after every exit: of much, less time is enough. It is
# twenty times what records of two streams are known to change places by.
ENOUGH_BYTES = 1024 * 1024
ENOUGH_TIME = timedelta(seconds=1)
_TAIL_CHUNKS = 200


@dataclass(frozen=True, slots=True)
class Piece:
    """Frames that are next in an attempt's log, with what a chunk's row says of them."""

    data: bytes
    tally: frames.Tally

    @classmethod
    def of(cls, data: bytes, *, enough: int | None = None) -> Piece:
        """Compress and count, done by the thread that read the frames: all of them, or `enough` bytes."""
        return cls._of(data, frames.tally(data, enough))

    @classmethod
    def of_first(cls, data: bytes, *, enough: int) -> Piece | None:
        """The whole frames that come first in data, `enough` bytes of them; None if none does."""
        tally = frames.tally_first(data, enough)
        return cls._of(data, tally) if tally else None

    @classmethod
    def _of(cls, data: bytes, tally: frames.Tally) -> Piece:
        return cls(deflate.compress(memoryview(data)[: tally.raw_bytes]), tally)

    @property
    def payload_bytes(self) -> int:
        """How much the container wrote of it."""
        return self.tally.stdout_bytes + self.tally.stderr_bytes


_COUNTERS = ("stdout_bytes", "stderr_bytes", "stdout_lines", "stderr_lines")
_COLUMNS: dict[str, Any] = {
    "attempt_id": Attempt._meta.get_field("id"),
    **{name: Attempt._meta.get_field(name) for name in ("epoch", "next_seq", "log_cursor", "logs_note")},
    **{name: LogChunk._meta.get_field(name) for name in ("data", "first_at", "last_at", "raw_bytes")},
    "chunks": Attempt._meta.get_field("next_seq"),
    **{name: Attempt._meta.get_field(name) for name in _COUNTERS},
    **{f"{name}_before": LogChunk._meta.get_field(f"{name}_before") for name in _COUNTERS},
}
_CHUNK_COLUMNS = ("data", "first_at", "last_at", "raw_bytes")


def row(attempt_id: UUID, epoch: int, next_seq: int, piece: Piece, *, note: str = "") -> Row:
    """One row for `append`; `note` says what is missing before the piece."""
    return {
        "attempt_id": attempt_id,
        "epoch": epoch,
        "next_seq": next_seq,
        "log_cursor": piece.tally.newest,
        "logs_note": note,
        "data": piece.data,
        "first_at": piece.tally.first_at,
        "last_at": piece.tally.last_at,
        "raw_bytes": piece.tally.raw_bytes,
        **{name: getattr(piece.tally, name) for name in _COUNTERS},
    }


def append(rows: Sequence[Row]) -> set[UUID]:
    """Store the next chunks of attempts that are still ours: all that is given of one, or nothing of it.

    Chunks of one attempt stand in their order, numbered without a gap. More than `batches.MAX_ROWS` of them
    are so many writes, which a transaction of the caller makes one.
    """
    counted = ", ".join(f"{name} = a.{name} + x.{name}" for name in _COUNTERS)
    # Only the first chunk of an attempt meets the guard; its row speaks for all of them.
    update = (
        "UPDATE jobs_attempt AS a SET next_seq = x.next_seq + x.chunks, "
        "log_cursor = CASE WHEN x.log_cursor > a.log_cursor THEN x.log_cursor ELSE a.log_cursor END, "
        "logs_note = CASE WHEN x.logs_note > '' THEN x.logs_note ELSE a.logs_note END, "
        f"{counted} FROM x WHERE a.id = x.attempt_id AND a.epoch = x.epoch AND a.next_seq = x.next_seq "
        f"AND (a.state IN ({', '.join(repr(str(state.value)) for state in OPEN_STATES)}) OR {ARCHIVABLE})"
    )
    # On SQLite the counters have been raised when the INSERT reads them, on PostgreSQL they have not.
    raised = "" if connection.vendor == "postgresql" else " - m.{0}"
    before = ", ".join(f"c.{name}{raised.format(name)} + m.{name}_before" for name in _COUNTERS)
    insert = (
        f"INSERT INTO jobs_logchunk (attempt_id, seq, {', '.join(_CHUNK_COLUMNS)}, "
        f"{', '.join(f'{name}_before' for name in _COUNTERS)}) "
        f"SELECT m.attempt_id, m.next_seq, {', '.join(f'm.{name}' for name in _CHUNK_COLUMNS)}, {before} "
        "FROM m JOIN jobs_attempt AS c ON c.id = m.attempt_id"
    )
    held: set[UUID] = set()
    refused: set[UUID] = set()
    for groups in _parts(rows):
        write = partial(batches.guarded_groups, _COLUMNS, update=update, then=[insert])
        taken = write([_together(group) for group in groups])
        held |= taken
        refused |= {group[0]["attempt_id"] for group in groups} - taken
    return held - refused


def _parts(rows: Sequence[Row]) -> Iterator[list[list[Row]]]:
    """The rows by attempt, as many attempts at a time as one write takes."""
    of_attempt: dict[UUID, list[Row]] = {}
    for row in rows:
        of_attempt.setdefault(row["attempt_id"], []).append(row)
    part: list[list[Row]] = []
    size = 0
    for group in of_attempt.values():
        for start in range(0, len(group), batches.MAX_ROWS):
            chunks = group[start : start + batches.MAX_ROWS]
            if part and (start or size + len(chunks) > batches.MAX_ROWS):
                yield part
                part, size = [], 0
            part.append(chunks)
            size += len(chunks)
    if part:
        yield part


def _together(chunks: Sequence[Row]) -> list[Row]:
    """The rows of one attempt, each with what is to be written for all of them, and what is before it."""
    for_all = {
        "chunks": len(chunks),
        "log_cursor": max(chunk["log_cursor"] for chunk in chunks),
        "logs_note": next((chunk["logs_note"] for chunk in reversed(chunks) if chunk["logs_note"]), ""),
        **{name: sum(chunk[name] for chunk in chunks) for name in _COUNTERS},
    }
    before = dict.fromkeys(_COUNTERS, 0)
    rows: list[Row] = []
    for chunk in chunks:
        rows.append({**chunk, **for_all, **{f"{name}_before": before[name] for name in _COUNTERS}})
        before = {name: before[name] + chunk[name] for name in _COUNTERS}
    return rows


def resume_point(attempt: Attempt, *, tail_seconds: float = OVERLAP.total_seconds()) -> Resume:
    """Where the stored log of the attempt ends, with the frames that `Resume.tail` promises."""
    tty = bool(attempt.spec.get("tty"))
    if not attempt.log_cursor:
        return Resume(tty=tty, tail_seconds=tail_seconds)
    tail, covers = _tail(attempt, timedelta(seconds=tail_seconds))
    return Resume(
        newest=attempt.log_cursor,
        tail=b"".join(map(deflate.decompress, tail)),
        stdout_bytes=attempt.stdout_bytes,
        stderr_bytes=attempt.stderr_bytes,
        covers=covers,
        first=_first(attempt),
        tty=tty,
        tail_seconds=tail_seconds,
    )


def _tail(attempt: Attempt, overlap: timedelta) -> tuple[list[bytes], str]:
    """The chunks that `Resume.tail` is made of, and `Resume.covers`."""
    chunks = LogChunk.objects.filter(attempt=attempt).order_by("seq")
    newest_at = frames.moment(attempt.log_cursor)
    recent = chunks.filter(last_at__gte=newest_at - overlap)
    # Everything from the first recent one on: records of before may come late, hours late in a long line.
    oldest = recent.values_list("seq", flat=True).first() or 0
    wanted: set[int] = set()
    size, covers, next_at = 0, "", None
    columns = ("seq", "raw_bytes", "first_at", "last_at")
    for seq, raw_bytes, first_at, last_at in chunks.reverse().values_list(*columns)[:_TAIL_CHUNKS]:
        size += raw_bytes
        if seq < oldest:
            break
        if seq != attempt.next_seq - 1 - len(wanted):  # what was stored in between is left out by now
            covers = _stamp(next_at or last_at)
            break
        enough = size > ENOUGH_BYTES and newest_at - last_at >= ENOUGH_TIME
        if wanted and (enough or size > TAIL_BYTES or len(wanted) == _TAIL_CHUNKS - 1):
            covers = _stamp(last_at + timedelta(microseconds=1))
            break
        wanted.add(seq)
        next_at = first_at
    wanted.update(_last_of(attempt, stream) for stream in ("stdout", "stderr"))
    return [bytes(data) for data in chunks.filter(seq__in=wanted).values_list("data", flat=True)], covers


def _last_of(attempt: Attempt, stream: str) -> int:
    """The chunk with the last frame of a stream; -1 if it has none, or none is stored any more."""
    if not getattr(attempt, f"{stream}_bytes"):
        return -1
    chunks = LogChunk.objects.filter(attempt=attempt)
    holds_some = {f"{stream}_bytes_before__lt": getattr(attempt, f"{stream}_bytes")}
    seq = chunks.filter(**holds_some).order_by("seq").values_list("seq", flat=True).last()
    if seq is None:
        return -1
    is_last = not attempt.log_gap_bytes or seq == attempt.next_seq - 1 or chunks.filter(seq=seq + 1).exists()
    return seq if is_last else -1


def _stamp(at: datetime) -> str:
    return frames.stamp(frames.nanoseconds(at)).decode()


def _first(attempt: Attempt) -> bytes:
    """The header and time of the log's first frame."""
    data = LogChunk.objects.filter(attempt=attempt, seq=0).values_list("data", flat=True).first()
    size = frames.HEADER.size + frames.TIME_BYTES
    return deflate.start(bytes(data), size) if data else b""


class Chunk(NamedTuple):
    """Frames, and how many bytes of each stream are left out right before them (none: an empty mapping)."""

    seq: int
    data: bytes
    left_out: Mapping[int, int]


class Reader:
    """Reads the chunks of an attempt in order, each once, however often it is asked for new ones."""

    def __init__(self, attempt_id: UUID, *, after_seq: int = -1) -> None:
        self._attempt_id, self._seq = attempt_id, after_seq
        self._begin = (0, 0)
        self._data = b""

    def new(self) -> Iterator[Chunk]:
        """The chunks after the last one, oldest first, a few in memory at a time."""
        chunks = LogChunk.objects.filter(attempt_id=self._attempt_id, seq__gt=self._seq).order_by("seq")
        columns = ("seq", "data", "stdout_bytes_before", "stderr_bytes_before")
        for seq, data, stdout_before, stderr_before in chunks.values_list(*columns).iterator(chunk_size=16):
            left_out = self._left_out(stdout_before, stderr_before) if seq != self._seq + 1 else {}
            self._seq, self._data = seq, deflate.decompress(data)
            self._begin = (stdout_before, stderr_before)
            yield Chunk(seq, self._data, left_out)

    def _left_out(self, stdout_before: int, stderr_before: int) -> dict[int, int]:
        if self._seq < 0:
            end = (0, 0)
        elif self._data:
            counted = frames.tally(self._data)
            end = (self._begin[0] + counted.stdout_bytes, self._begin[1] + counted.stderr_bytes)
        else:  # it was told to begin in the middle, and knows nothing of what is before
            return {}
        gaps = {frames.STDOUT: stdout_before - end[0], frames.STDERR: stderr_before - end[1]}
        return {stream: size for stream, size in gaps.items() if size > 0}


def read(attempt_id: UUID, *, after_seq: int = -1) -> Iterator[tuple[int, bytes]]:
    """The stored chunks after a number, as (seq, frames), oldest first, a few in memory at a time."""
    for chunk in Reader(attempt_id, after_seq=after_seq).new():
        yield chunk.seq, chunk.data


def mark(size: int, stream: str = "") -> str:
    """What is shown in the place of bytes that are left out."""
    return f"[... {size} bytes{stream and f' of {stream}'} left out ...]"


def stream_bytes(attempt_id: UUID, stream: int, *, marked: bool = False) -> Iterator[bytes]:
    """One stream of an attempt (1 stdout, 2 stderr) as the container wrote it, in pieces.

    Where bytes are left out nothing stands for them, unless it is to be `marked`.
    """
    joiner = frames.Joiner()
    for chunk in Reader(attempt_id).new():
        if chunk.left_out:
            joiner.skip()
            if marked and stream in chunk.left_out:
                yield f"\n{mark(chunk.left_out[stream])}\n".encode()
        for frame in frames.walk(chunk.data):
            if frame.stream == stream:
                yield joiner.payload(frame)

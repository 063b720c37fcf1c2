"""The lines of an attempt's log by their numbers, without reading more of it than the lines asked for.

A line is numbered where it ends, from 0, in one stream or in both together (`all`): the counters of each
chunk say how many lines ended before it. So the chunk of any line is found by halving the numbers of chunks
(14 small look-ups for 10,000), and numbers stay what they are while the log grows. What the cap left out of
the middle keeps its numbers, too. Only a line that engines cut into pieces may begin in a chunk before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db.models import QuerySet

from hosts.executors import frames
from jobs import deflate
from jobs.models import Attempt, LogChunk

STREAMS = {"all": (frames.STDOUT, frames.STDERR), "stdout": (frames.STDOUT,), "stderr": (frames.STDERR,)}
KEPT_BYTES = 4096  # of a line, unless more of it is asked for
_BACK = 8  # chunks that are looked into for the begin of a long line
_BATCH = 64
_AT_ONCE = 8
_COUNTERS = ("stdout_lines_before", "stderr_lines_before", "stdout_bytes_before", "stderr_bytes_before")


class Line(NamedTuple):
    """`data` is the begin of the line without its newline, `size` the length of all of it."""

    number: int
    stream: int
    at_ms: int
    data: bytes
    size: int


class Gap(NamedTuple):
    """The lines `first` up to `end`, that one not included, are left out of what is stored: `size` bytes."""

    first: int
    end: int
    size: int


class Place(NamedTuple):
    """A stored chunk, and the lines and bytes of the streams that are before it."""

    seq: int
    lines: int
    size: int


class Part(NamedTuple):
    """A chunk's frames. `after_gap`: something is left out before it; `is_last`: no other is stored after."""

    place: Place
    data: bytes
    after_gap: bool
    is_last: bool


@dataclass(slots=True)
class _Open:
    at_ms: int
    parts: list[bytes] = field(default_factory=list)
    kept: int = 0
    size: int = 0


class Assembler:
    """Makes lines of the frames of chunks that follow each other; numbers are given by whoever feeds it."""

    def __init__(self, streams: Sequence[int], *, keep: int = KEPT_BYTES) -> None:
        self._streams, self._keep = streams, keep
        self._open: dict[int, _Open] = {}

    def feed(self, data: bytes, number: int) -> Iterator[Line]:
        """The lines that end in whole frames, of which the first one gets the number."""
        for stream, time, payload in frames.walk(data):
            if stream not in self._streams:
                continue
            at_ms = milliseconds(time)
            *whole, rest = payload.split(b"\n")
            if (rest and frames.ends_line(payload)) or not payload:
                whole, rest = [*whole, rest], b""
            for one in whole:
                yield self._end(stream, at_ms, one, number)
                number += 1
            if rest:
                self._add(stream, at_ms, rest)

    @property
    def is_open(self) -> bool:
        """Whether a line has begun that has no end yet."""
        return bool(self._open)

    def rest(self, number: int) -> list[Line]:
        """The lines that have no end yet."""
        return [
            Line(number + place, stream, one.at_ms, b"".join(one.parts), one.size)
            for place, (stream, one) in enumerate(self._open.items())
        ]

    def skip(self) -> None:
        """Something is left out here."""
        self._open.clear()

    def _add(self, stream: int, at_ms: int, data: bytes) -> None:
        one = self._open.setdefault(stream, _Open(at_ms))
        part = data[: max(0, self._keep - one.kept)]
        one.parts.append(part)
        one.kept += len(part)
        one.size += len(data)

    def _end(self, stream: int, at_ms: int, data: bytes, number: int) -> Line:
        if stream not in self._open:
            return Line(number, stream, at_ms, data[: self._keep], len(data))
        self._add(stream, at_ms, data)
        one = self._open.pop(stream)
        return Line(number, stream, one.at_ms, b"".join(one.parts), one.size)


_seconds: dict[bytes, int] = {}


def milliseconds(time: bytes) -> int:
    """A frame's time since 1970."""
    second = time[:19]
    if second not in _seconds:
        if len(_seconds) > 1000:  # noqa: PLR2004 - of one page there are fewer
            _seconds.clear()
        _seconds[second] = frames.nanoseconds(frames.moment(f"{second.decode()}.000000")) // 1_000_000
    return _seconds[second] + int(time[20:23])


@dataclass(frozen=True, slots=True)
class Page:
    """Lines in their order, and those without an end if the page reaches the log's."""

    lines: list[Line]
    rest: list[Line] = field(default_factory=list)


class Lines:
    """The lines of one attempt in a stream (`STREAMS`). Each call reads what is stored by then."""

    def __init__(self, attempt_id: UUID, stream: str = "all", *, keep: int = KEPT_BYTES) -> None:
        self._attempt_id, self._keep = attempt_id, keep
        self._streams = STREAMS[stream]
        self._chunks: QuerySet[LogChunk] = LogChunk.objects.filter(attempt_id=attempt_id)

    def count(self, attempt: Attempt) -> int:
        """How many lines the attempt has, those left out included, as its row tells."""
        counts = (attempt.stdout_lines, attempt.stderr_lines)
        return sum(counts[one - 1] for one in self._streams)

    def page(self, first: int, count: int) -> Page:
        """Up to `count` lines from the line `first` on."""
        found: list[Line] = []
        end, number, assembler, reaches_end = first + count, first, None, False
        for part in self.chunks(first, end):
            assembler = assembler or self.begun(part.place.seq)
            if part.after_gap:
                assembler.skip()
            number = part.place.lines
            for line in assembler.feed(part.data, number):
                number = line.number + 1
                if first <= line.number < end:
                    found.append(line)
            reaches_end = part.is_last and number <= end
        return Page(found, assembler.rest(number) if assembler and reaches_end else [])

    def of_numbers(self, numbers: Sequence[int]) -> list[Line]:
        """Single lines, in their order; of those that are not stored, none."""
        wanted, found = sorted(set(numbers)), list[Line]()
        while wanted:
            run = [number for number in wanted if number < wanted[0] + _BATCH]
            chosen = set(run)
            found += [line for line in self.page(run[0], run[-1] - run[0] + 1).lines if line.number in chosen]
            wanted = wanted[len(run) :]
        return found

    def line_at(self, at: datetime) -> int:
        """The number of the first line that is not older than this, as far as lines are in order of time."""
        first, last = self._edges()
        if first is None or last is None:
            return 0
        low, high = first.seq, last.seq
        while low < high:
            middle = self._chunks.filter(seq__gte=(low + high) // 2).order_by("seq")
            found = middle.values_list("seq", "last_at").first()
            if found is None or found[1] >= at:
                high = (low + high) // 2
            else:
                low = found[0] + 1
        place = self._at_or_after(low)
        if place is None:
            return last.lines
        at_ms = frames.nanoseconds(at) // 1_000_000
        lines = self.begun(place.seq).feed(self._data(place.seq), place.lines)
        number = place.lines
        for line in lines:
            if line.at_ms >= at_ms:
                return line.number
            number = line.number + 1
        return number

    def gap(self, cap: int) -> Gap | None:
        """What the cap (`jobs.log_cap`) left out of these streams."""
        both = Lines(self._attempt_id)
        head = both._last(cap // 2 - 1, by="size")
        before = self._at_or_before(head.seq) if head else None
        after = self._at_or_after(before.seq + 1) if before else None
        if before is None or after is None or after.seq == before.seq + 1:
            return None
        counted = frames.tally(self._data(before.seq))
        lines = sum((counted.stdout_lines, counted.stderr_lines)[one - 1] for one in self._streams)
        size = sum((counted.stdout_bytes, counted.stderr_bytes)[one - 1] for one in self._streams)
        gap = Gap(before.lines + lines, after.lines, after.size - before.size - size)
        return gap if gap.size else None

    def chunks(self, first: int, end: int) -> Iterator[Part]:
        """The chunks in which the lines `first` up to `end`, that one not included, end."""
        place = self._last(first, by="lines")
        while place and place.lines < end:
            batch = self._batch(place.seq)
            yield from self._read(batch, end)
            if len(batch) < _BATCH or batch[-1].lines >= end:
                return
            # Where the other stream is long, the next line of this one may be far away.
            far = self._last(max(first, batch[-1].lines), by="lines")
            place = far if far and far.seq > batch[-1].seq and far.size == batch[-1].size else batch[-1]

    def _read(self, batch: list[Place], end: int) -> Iterator[Part]:
        """Those that have something of the streams; the last one of a full batch is left to the next."""
        is_whole, after_gap, wanted = len(batch) < _BATCH, False, dict[int, tuple[Place, bool]]()
        for one, after in zip(batch, [*batch[1:], None], strict=True):
            if after is None and not is_whole:
                break
            if one.lines < end and (after is None or after[1:] != one[1:]):
                wanted[one.seq], after_gap = (one, after_gap), False
            after_gap = after_gap or bool(after and after.seq > one.seq + 1)
        seqs = list(wanted)
        for start in range(0, len(seqs), _AT_ONCE):
            rows = self._chunks.filter(seq__in=seqs[start : start + _AT_ONCE]).order_by("seq")
            for seq, data in rows.values_list("seq", "data"):
                place, is_after_gap = wanted[seq]
                is_last = is_whole and place == batch[-1]
                yield Part(place, deflate.decompress(bytes(data)), is_after_gap, is_last)

    def begun(self, seq: int) -> Assembler:
        """An assembler with what of a long line is in the chunks before this one."""
        assembler = Assembler(self._streams, keep=self._keep)
        before: list[bytes] = []
        for back in range(1, _BACK + 1):
            data = self._data(seq - back)
            if frames.PIECE_MARK not in data:
                break
            before.append(data)
        for data in reversed(before):
            for _ in assembler.feed(data, 0):
                pass
        return assembler

    def _data(self, seq: int) -> bytes:
        data = self._chunks.filter(seq=seq).values_list("data", flat=True).first() if seq >= 0 else None
        return deflate.decompress(bytes(data)) if data else b""

    def _last(self, value: int, *, by: str) -> Place | None:
        """The last stored chunk that has at most so much before it; the first one if none has."""
        low, high = self._edges()
        if low is None or high is None or getattr(high, by) <= value:
            return high
        while high.seq - low.seq > 1:
            middle = (low.seq + high.seq) // 2
            probe = self._at_or_before(middle)
            if probe is None or probe.seq <= low.seq:
                probe = self._at_or_after(middle + 1)
            if probe is None or probe.seq >= high.seq:
                break
            if getattr(probe, by) <= value:
                low = probe
            else:
                high = probe
        return low

    def _edges(self) -> tuple[Place | None, Place | None]:
        return self._at_or_after(0), self._at_or_before(None)

    def _at_or_before(self, seq: int | None) -> Place | None:
        chunks = self._chunks if seq is None else self._chunks.filter(seq__lte=seq)
        return self._place(chunks.order_by("-seq").values_list("seq", *_COUNTERS).first())

    def _at_or_after(self, seq: int) -> Place | None:
        chunks = self._chunks.filter(seq__gte=seq).order_by("seq")
        return self._place(chunks.values_list("seq", *_COUNTERS).first())

    def _batch(self, seq: int) -> list[Place]:
        chunks = self._chunks.filter(seq__gte=seq).order_by("seq").values_list("seq", *_COUNTERS)[:_BATCH]
        return [place for place in map(self._place, chunks) if place]

    def _place(self, row: tuple[int, ...] | None) -> Place | None:
        if row is None:
            return None
        seq, *counters = row
        lines = sum(counters[one - 1] for one in self._streams)
        return Place(seq, lines, sum(counters[one + 1] for one in self._streams))


class Follower:
    """The lines of a stream that were stored since the last time; of very many only the newest."""

    MOST_CHUNKS = 8

    def __init__(self, attempt_id: UUID, stream: str, *, next_seq: int) -> None:
        """`next_seq`: the chunks before that one are known."""
        self._lines = Lines(attempt_id, stream)
        self._seq = next_seq
        self._assembler: Assembler | None = None

    def new(self) -> tuple[list[Line], list[Line]]:
        """New lines, oldest first, and those that have no end yet."""
        chunks = self._lines._chunks.filter(seq__gte=self._seq).order_by("-seq")
        rows = list(chunks.values_list("seq", "data", *_COUNTERS)[: self.MOST_CHUNKS])
        found: list[Line] = []
        for seq, data, *counters in reversed(rows):
            place = self._lines._place((seq, *counters))
            assert place is not None
            if self._assembler is None or seq != self._seq:
                self._assembler = self._lines.begun(seq)
            found += self._assembler.feed(deflate.decompress(bytes(data)), place.lines)
            self._seq = seq + 1
            self._end = found[-1].number + 1 if found else place.lines
        rest = self._assembler.rest(self._end) if self._assembler else []
        return found, rest

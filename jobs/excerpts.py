"""The start and the end of each stream, as text: what is shown before the whole log is asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from uuid import UUID

from django.db.models import Q

from hosts.executors import frames
from jobs import deflate, logs
from jobs.models import LogChunk

HEAD_BYTES = 32 * 1024
TAIL_BYTES = 32 * 1024
# How much of each end of a stored log is read for it: this many frames' bytes, in no more chunks than that.
_ENOUGH_BYTES = 256 * 1024
_MOST_CHUNKS = 200
# What a worker remembers of both ends, compressed; with those of more it would hold a lot for many jobs.
_MOST_NOTED_BYTES = 256 * 1024
# (seq, bytes of stdout before it, bytes of stderr before it, frames as they are stored)
_Chunk = tuple[int, int, int, bytes]


class Excerpt:
    """Takes a stream in pieces, keeps its two ends."""

    def __init__(self) -> None:
        self._head, self._tail = bytearray(), bytearray()
        self._has_gap = False
        self.size = 0

    def skip_to(self, place: int) -> None:
        """Go on at this place of the stream; what lies between is left out."""
        if place > self.size:
            self.size, self._has_gap = place, True
            self._tail.clear()

    def leave_out(self, size: int) -> None:
        """So many bytes are next that cannot be of either end: the head is full, and enough follows them."""
        self.size += size
        self._tail.clear()

    @property
    def room(self) -> int:
        """How many more bytes of the head are wanted."""
        return 0 if self._has_gap else max(0, HEAD_BYTES - len(self._head))

    def add(self, data: bytes) -> None:
        """The next bytes of the stream."""
        self.size += len(data)
        room = self.room
        self._head += data[:room]
        self._tail += data[room:] if room > 0 else data
        if len(self._tail) > 4 * TAIL_BYTES:
            del self._tail[:-TAIL_BYTES]

    def text(self, size: int | None = None) -> str:
        """The kept ends as text; `size` is the stream's true length where not all of it was added."""
        tail = self._tail[-TAIL_BYTES:]
        left_out = (self.size if size is None else size) - len(self._head) - len(tail)
        if left_out <= 0:
            return as_text(bytes(self._head + tail))
        return f"{as_text(bytes(self._head))}\n{logs.mark(left_out)}\n{as_text(bytes(tail))}"


def as_text(data: bytes) -> str:
    """Bytes as text that every database takes: what is no UTF-8 replaced, NUL as well."""
    return data.decode("utf-8", errors="replace").replace("\x00", "\N{REPLACEMENT CHARACTER}")


class Ends:
    """The first and last chunks of a log, noted by whoever stores them; none where they are not small."""

    def __init__(self) -> None:
        self._first: list[_Chunk] = []
        self._last: deque[tuple[int, int, int, bytes, int]] = deque()  # with the bytes that each holds
        self._first_bytes = self._last_bytes = self._noted_bytes = self._next_seq = 0
        self._is_whole = True

    def add(self, chunk: _Chunk, raw_bytes: int) -> None:
        """Note the next chunk, which holds so many bytes of frames."""
        if not self._is_whole or chunk[0] != self._next_seq:
            self._forget()
            return
        self._next_seq += 1
        self._noted_bytes += len(chunk[3])
        if self._first_bytes < _ENOUGH_BYTES and len(self._first) < _MOST_CHUNKS:
            self._first.append(chunk)
            self._first_bytes += raw_bytes
            return
        self._last.append((*chunk, raw_bytes))
        self._last_bytes += raw_bytes
        while len(self._last) > _MOST_CHUNKS or self._last_bytes - self._last[0][-1] >= _ENOUGH_BYTES:
            _, _, _, data, size = self._last.popleft()
            self._last_bytes -= size
            self._noted_bytes -= len(data)
        if self._noted_bytes > _MOST_NOTED_BYTES:
            self._forget()

    def _forget(self) -> None:
        self._is_whole = False
        self._first.clear()
        self._last.clear()

    def up_to(self, next_seq: int) -> list[_Chunk] | None:
        """What `texts` takes for stored; None if these are not the ends of a log that goes on with that."""
        if not self._is_whole or next_seq != self._next_seq:
            return None
        return [*self._first, *((seq, out, err, data) for seq, out, err, data, _ in self._last)]


def texts(
    attempt_id: UUID,
    next_seq: int,
    pieces: Sequence[bytes],
    sizes: tuple[int, int],
    stored: Iterable[_Chunk] | None = None,
) -> tuple[str, str]:
    """Excerpts of stdout and stderr, of the first and last stored chunks and the pieces that follow them.

    `stored` are these chunks, where they are known; else they are looked up.
    """
    stdout, stderr, joiner = Excerpt(), Excerpt(), frames.Joiner()
    place = 0
    if stored is None:
        stored = _stored_ends(attempt_id, next_seq)
    for seq, stdout_before, stderr_before, data in stored:
        if seq != place:
            joiner.skip()
            stdout.skip_to(stdout_before)
            stderr.skip_to(stderr_before)
        place = seq + 1
        _add(data, stdout, stderr, joiner)
    for data in pieces:
        _add(data, stdout, stderr, joiner)
    return stdout.text(sizes[0]), stderr.text(sizes[1])


def _add(data: bytes, stdout: Excerpt, stderr: Excerpt, joiner: frames.Joiner) -> None:
    data = deflate.decompress(data)
    for stream, spans in frames.payloads(data).items():
        excerpt = stderr if stream == frames.STDERR else stdout
        head_end = _count_to(spans, excerpt.room)
        tail_begin = max(head_end, len(spans) - _count_to(reversed(spans), TAIL_BYTES))
        excerpt.add(joiner.payloads(stream, data, spans[:head_end]))
        if head_end < tail_begin:
            # Not to be shown, but the newline that it is owed may be.
            joiner.payloads(stream, data, spans[tail_begin - 1 : tail_begin])
            excerpt.leave_out(sum(end - start for start, end in spans[head_end:tail_begin]))
        excerpt.add(joiner.payloads(stream, data, spans[tail_begin:]))


def _count_to(spans: Iterable[tuple[int, int]], size: int) -> int:
    """How many of the payloads, from the first one on, have so many bytes."""
    total = count = 0
    for start, end in spans:
        if total >= size:
            break
        total += end - start
        count += 1
    return count


def _stored_ends(attempt_id: UUID, next_seq: int) -> Iterator[_Chunk]:
    """The first and last chunks."""
    if not next_seq:
        return
    chunks = LogChunk.objects.filter(attempt_id=attempt_id).order_by("seq")
    ends = chunks.filter(Q(seq__lt=_MOST_CHUNKS) | Q(seq__gte=next_seq - _MOST_CHUNKS))
    sizes = dict(ends.values_list("seq", "raw_bytes"))
    wanted = {*_enough(sizes, sizes), *_enough(reversed(sizes), sizes)}
    columns = ("seq", "stdout_bytes_before", "stderr_bytes_before", "data")
    for seq, stdout_before, stderr_before, data in chunks.filter(seq__in=wanted).values_list(*columns):
        yield seq, stdout_before, stderr_before, bytes(data)


def _enough(seqs: Iterable[int], sizes: Mapping[int, int]) -> Iterator[int]:
    total = 0
    for count, seq in enumerate(seqs):
        if total >= _ENOUGH_BYTES or count == _MOST_CHUNKS:
            return
        total += sizes[seq]
        yield seq

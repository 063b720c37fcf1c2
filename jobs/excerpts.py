"""The start and the end of each stream, as text: what is shown before the whole log is asked for."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from uuid import UUID

from hosts.executors import frames
from jobs.models import LogChunk

HEAD_BYTES = 32 * 1024
TAIL_BYTES = 32 * 1024


class Excerpt:
    """Takes a stream in pieces, keeps its two ends."""

    def __init__(self) -> None:
        self._head, self._tail = bytearray(), bytearray()
        self.size = 0

    def add(self, data: bytes) -> None:
        """The next bytes of the stream."""
        self.size += len(data)
        room = HEAD_BYTES - len(self._head)
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
        return f"{as_text(bytes(self._head))}\n[... {left_out} bytes left out ...]\n{as_text(bytes(tail))}"


def as_text(data: bytes) -> str:
    """Bytes as text that every database takes: what is no UTF-8 replaced, NUL as well."""
    return data.decode("utf-8", errors="replace").replace("\x00", "\N{REPLACEMENT CHARACTER}")


def texts(
    attempt_id: UUID, next_seq: int, pieces: Sequence[bytes], sizes: tuple[int, int]
) -> tuple[str, str]:
    """Excerpts of stdout and stderr, of the first and last stored chunks and the pieces that follow them."""
    by_stream = {frames.STDOUT: Excerpt(), frames.STDERR: Excerpt()}
    for data in (*_stored_ends(attempt_id, next_seq), *pieces):
        for frame in frames.walk(zlib.decompress(data)):
            by_stream.get(frame.stream, by_stream[frames.STDOUT]).add(frame.payload)
    return by_stream[frames.STDOUT].text(sizes[0]), by_stream[frames.STDERR].text(sizes[1])


def _stored_ends(attempt_id: UUID, next_seq: int) -> Iterable[bytes]:
    if not next_seq:
        return []
    ends = {0, next_seq - 2, next_seq - 1}
    chunks = LogChunk.objects.filter(attempt_id=attempt_id, seq__in=ends).order_by("seq")
    return [bytes(data) for data in chunks.values_list("data", flat=True)]

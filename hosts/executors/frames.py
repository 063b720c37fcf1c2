"""The frames that logs travel and are stored in: Docker's own, with its timestamps. Pure.

A frame is 1 byte stream (1 stdout, 2 stderr), 3 zero bytes, 4 bytes big-endian length, and as many bytes:
30 bytes RFC 3339 UTC time with nanoseconds, one space, and a line or a part of one.
Source: the Docker Engine API, "Stream format" of POST /containers/{id}/attach, with `timestamps=1`.
"""

from __future__ import annotations

import struct
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

STDOUT, STDERR = 1, 2
NAMES = {STDOUT: "stdout", STDERR: "stderr"}
HEADER = struct.Struct(">BxxxL")
TIME_BYTES = 30
PIECE_BYTES = 16_384  # where engines cut long lines
LONGEST_FRAME = 1024 * 1024
END_RECORDS = 32
_END_BYTES = 8 * 1024
_MOMENTS = 2
_PREFIX_BYTES = TIME_BYTES + 1
# What the header of a whole piece of a longer line holds: without it, no line goes on after these frames.
PIECE_MARK = (_PREFIX_BYTES + PIECE_BYTES).to_bytes(4, "big")
_HEAD_AND_TIME = struct.Struct(f">Q{TIME_BYTES}s")
_LENGTH = 0xFFFFFFFF  # the bits of a header that are its length
_FIRST_OF_STDERR = STDERR << 56
_MOST_SIZES = 40_000  # lines of every length in both streams
# Of frames that there were, by their header as a number; plain ones are of stdout, and hold no newline in it.
_sizes: dict[int, int] = {}
_plain_sizes: dict[int, int] = {}
_EPOCH, _MICROSECOND = datetime.fromtimestamp(0, UTC), timedelta(microseconds=1)


class NoFrame(ValueError):
    """Bytes that are the header of no frame."""


class Frame(NamedTuple):
    """One frame. `time` is the 30 bytes as the engine wrote them."""

    stream: int
    time: bytes
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What a run of frames holds: bytes and line ends per stream, its size, its first and newest time.

    The last `end_bytes` of it are whole frames, enough of them to find its end again. Lines are counted where
    they end, as `Joiner` gives them back: the last piece of a long line ends one though it lost its newline.
    """

    stdout_bytes: int
    stderr_bytes: int
    stdout_lines: int
    stderr_lines: int
    raw_bytes: int
    end_bytes: int
    first_at: datetime
    last_at: datetime
    newest: str


def pack(stream: int, time: bytes, payload: bytes) -> bytes:
    """One frame as bytes."""
    return HEADER.pack(stream, _PREFIX_BYTES + len(payload)) + time + b" " + payload


def walk(data: bytes) -> Iterator[Frame]:
    """The frames in data that holds whole frames only."""
    place, size = 0, len(data)
    while place < size:
        stream, length = HEADER.unpack_from(data, place)
        start = place + HEADER.size
        place = start + length
        yield Frame(stream, data[start : start + TIME_BYTES], data[start + _PREFIX_BYTES : place])


def payloads(data: bytes) -> dict[int, list[tuple[int, int]]]:
    """Where the payloads of whole frames begin and end, by stream."""
    unpack, prefix, place, size = HEADER.unpack_from, HEADER.size + _PREFIX_BYTES, 0, len(data)
    spans: dict[int, list[tuple[int, int]]] = defaultdict(list)
    note, current = spans[STDOUT].append, STDOUT
    while place < size:
        stream, length = unpack(data, place)
        if stream != current:
            note, current = spans[stream].append, stream
        start = place + prefix
        place += HEADER.size + length
        note((start, place))
    return spans


def tally(data: bytes, enough: int | None = None) -> Tally:
    """Count whole frames, at least one of which must be there: all, or those up to `enough` bytes or more.

    ValueError where there is anything else among them.
    """
    counted = tally_first(data, enough)
    if counted is None or counted.raw_bytes < (len(data) if enough is None else min(enough, len(data))):
        raise ValueError(f"{len(data)} bytes that are not all whole frames")
    return counted


def tally_first(data: bytes, enough: int | None = None) -> Tally | None:
    """Count the whole frames that come first in data: all, or `enough` bytes or more; None if none does.

    NoFrame where the very first bytes begin none.
    """
    # Run for every record of every log: of each it looks at header and time, and all else is done at once.
    unpack, sizes, heads = _HEAD_AND_TIME.unpack_from, _plain_sizes, list[int]()
    note, newest, place, begin, head = heads.append, b"", 0, 0, 0
    last = min(len(data) - _HEAD_AND_TIME.size, len(data) if enough is None else enough - 1)
    while place <= last:
        try:
            while place <= last:
                head, time = unpack(data, place)
                size = sizes[head]
                note(head)
                begin = place
                place += size
                if time > newest:  # noqa: PLR1730 - half as long as max()
                    newest = time
        except KeyError:
            if not _learn(head):
                if not place:
                    raise NoFrame(f"{head:#018x} is no header of a frame") from None
                break
            sizes = sizes if head in sizes else _sizes
    if place > len(data):  # the last one is cut off, and its time may be the newest
        return tally_first(data[:begin])
    return _counted(data, place, heads, newest, plain=sizes is _plain_sizes) if heads else None


def _learn(head: int) -> bool:
    """Note the size of the frames that have this header; False: none has."""
    stream, length = HEADER.unpack(head.to_bytes(HEADER.size, "big"))
    if stream not in NAMES or not _PREFIX_BYTES <= length <= LONGEST_FRAME:
        return False
    if len(_sizes) >= _MOST_SIZES:
        _sizes.clear()
        _plain_sizes.clear()
    _sizes[head] = HEADER.size + length
    if stream == STDOUT and not _line_ends(head):
        _plain_sizes[head] = _sizes[head]
    return True


def _counted(data: bytes, size: int, heads: Sequence[int], newest: bytes, *, plain: bool) -> Tally:
    """What the frames in the first `size` bytes hold, which have these headers, `plain` ones all of them."""
    body, lines, stderr_bytes, stderr_lines = HEADER.size, data.count(b"\n", 0, size), 0, 0
    if not plain:
        kinds = Counter(heads)
        of_stderr = [head for head in kinds if head >= _FIRST_OF_STDERR]
        lines -= sum(_line_ends(head) * count for head, count in kinds.items())
        stderr_bytes = sum(((head & _LENGTH) - _PREFIX_BYTES) * kinds[head] for head in of_stderr)
        if of_stderr:
            stderr_lines = lines if len(of_stderr) == len(kinds) else _stderr_lines(data, heads)
    if not lines == len(heads) == _ended_records(data, size):
        lines, stderr_lines = _lines(data[:size])
    return Tally(
        stdout_bytes=size - len(heads) * (body + _PREFIX_BYTES) - stderr_bytes,
        stderr_bytes=stderr_bytes,
        stdout_lines=lines - stderr_lines,
        stderr_lines=stderr_lines,
        raw_bytes=size,
        end_bytes=_end_bytes(heads),
        first_at=moment(data[body : body + TIME_BYTES].decode()),
        last_at=moment(newest.decode()),
        newest=newest.decode(),
    )


def _end_bytes(heads: Sequence[int]) -> int:
    size = 0
    for head in reversed(heads[-END_RECORDS:]):
        size += HEADER.size + (head & _LENGTH)
        if size >= _END_BYTES:
            break
    return size


def _stderr_lines(data: bytes, heads: Iterable[int]) -> int:
    place = lines = 0
    for head in heads:
        begin = place
        place += HEADER.size + (head & _LENGTH)
        if head >= _FIRST_OF_STDERR:
            lines += data.count(b"\n", begin + HEADER.size + _PREFIX_BYTES, place)
    return lines


def _ended_records(data: bytes, size: int) -> int:
    """How many records seem to end with a newline: one stands before a header, or at the end.

    A payload may hold what looks like a header. Where it also holds as many newlines as there are records
    without one, `_counted` is misled, and the number of a line is wrong; nothing else depends on it.
    """
    before = sum(data.count(b"\n%c\0\0\0" % stream, 0, size) for stream in NAMES)
    return before + data.endswith(b"\n", 0, size)


def ends_line(payload: bytes) -> bool:
    """Whether a record is the end of a line: it has its newline, or is owed it (see `Joiner`)."""
    return payload.endswith(b"\n") or len(payload) != PIECE_BYTES


def _lines(data: bytes) -> tuple[int, int]:
    """The lines that end in whole frames, those of stderr among them apart."""
    counts = dict.fromkeys(NAMES, 0)
    for frame in walk(data):
        owed = not frame.payload.endswith(b"\n") and ends_line(frame.payload)
        counts[frame.stream] += frame.payload.count(b"\n") + owed
    return sum(counts.values()), counts[STDERR]


def _line_ends(head: int) -> int:
    """How many bytes of a header look like the end of a line."""
    return head.to_bytes(HEADER.size, "big").count(b"\n")


def last_of_each(data: bytes) -> dict[int, Frame]:
    """The last frame of each stream in whole frames."""
    unpack, body, place, size = HEADER.unpack_from, HEADER.size, 0, len(data)
    places: dict[int, int] = {}
    while place < size:
        stream, length = unpack(data, place)
        places[stream] = place
        place += body + length
    return {stream: next(walk(data[at : at + body + unpack(data, at)[1]])) for stream, at in places.items()}


def recognisable_end(data: bytes) -> bytes:
    """The last of whole frames, 32 at most, as long as they stand at one place of their log only; else none.

    They differ from one another and are of more than one moment, so they are no part of a sequence that comes
    again; and pieces of a long line, which may be the same and have the same time, are not among them.
    """
    places, place = deque[int](maxlen=END_RECORDS), 0
    unpack, body = HEADER.unpack_from, HEADER.size
    while place < len(data):
        places.append(place)
        place += body + unpack(data, place)[1]
    last = [data[start:end] for start, end in pairwise([*places, len(data)])]
    times = {frame[body : body + TIME_BYTES] for frame in last}
    has_piece = any(len(frame) >= body + _PREFIX_BYTES + PIECE_BYTES for frame in last)
    if has_piece or len(times) < _MOMENTS or len(set(last)) < len(last):
        return b""
    return b"".join(last)


def first_since(data: bytes, time: bytes) -> tuple[int, bool]:
    """Where the first of whole frames begins that is not older than `time`; whether none after it is."""
    unpack, body, place, size = HEADER.unpack_from, HEADER.size, 0, len(data)
    first = -1
    while place < size:
        if data[place + body : place + body + TIME_BYTES] >= time:
            first = place if first < 0 else first
        elif first >= 0:
            return first, False
        place += body + unpack(data, place)[1]
    return (first if first >= 0 else size), True


def moment(time: str) -> datetime:
    """A frame's time, cut to microseconds."""
    return datetime.fromisoformat(time[:26]).replace(tzinfo=UTC)


def nanoseconds(at: datetime) -> int:
    """A time as `stamp` takes it."""
    return (at - _EPOCH) // _MICROSECOND * 1000


def stamp(nanoseconds: int) -> bytes:
    """The 30 bytes for a time in nanoseconds since 1970."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    whole = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{rest:09d}Z".encode()


def cut_at_payload(data: bytes, limit: int) -> int:
    """Where to cut whole frames: the first part holds those that begin in the first `limit` payload bytes."""
    unpack, body = HEADER.unpack_from, HEADER.size
    place, size, payload = 0, len(data), 0
    while place < size and payload < limit:
        length = unpack(data, place)[1]
        payload += length - _PREFIX_BYTES
        place += body + length
    return place


class Joiner:
    """Gives the bytes that the container wrote back out of its frames, taken in order.

    The engine cuts lines longer than 16,384 bytes into records of that size, and its driver `local` forgets
    the newline of the last one. So a record that neither ends a line nor is a whole piece is owed one, which
    is paid once something follows it; whether the very last record of a stream had one cannot be known.
    """

    def __init__(self) -> None:
        self._owed: set[int] = set()

    def payload(self, frame: Frame) -> bytes:
        """The frame's part of its stream, with the newline that the frame before it was owed."""
        data = b"\n" + frame.payload if frame.stream in self._owed else frame.payload
        if frame.payload.endswith(b"\n") or len(frame.payload) == PIECE_BYTES:
            self._owed.discard(frame.stream)
        else:
            self._owed.add(frame.stream)
        return data

    def payloads(self, stream: int, data: bytes, spans: Iterable[tuple[int, int]]) -> bytes:
        """What `payload` makes of one stream's frames, in their order, whose payloads are there in data."""
        owes, parts = stream in self._owed, []
        for start, end in spans:
            payload = data[start:end]
            parts += [b"\n", payload] if owes else [payload]
            owes = not payload.endswith(b"\n") and len(payload) != PIECE_BYTES
        (self._owed.add if owes else self._owed.discard)(stream)
        return b"".join(parts)

    def skip(self) -> None:
        """Frames are left out here: what was owed before them is theirs to pay."""
        self._owed.clear()

"""One thread that reads the logs of all containers of a worker, and cuts them into pieces to be stored.

What it has read but nobody has stored yet is bounded: 2 MiB an attempt, 16 MiB in all. A source over its
share is not read from, so the engine keeps the bytes; nothing is spooled, nothing is dropped.
"""

from __future__ import annotations

import contextlib
import math
import queue
import selectors
import struct
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TypeAlias
from uuid import UUID

import structlog

from hosts.errors import ContainerExecutionError, EngineError
from hosts.executors import frames
from hosts.executors.log_source import LogSource, UncutLogSource
from jobs.logs import Piece
from supervisor.worker import pacing
from supervisor.worker.breadcrumb import NOBODY, Crumb
from supervisor.worker.inbox import Inbox, Wake
from supervisor.worker.log_news import LogEnded, LogMoves, PieceRead
from supervisor.worker.pacing import Pace
from supervisor.worker.short_log import BegunLog

logger = structlog.get_logger(__name__)

CHUNK_BYTES = 256 * 1024
FLUSH_AFTER_SECONDS = 1.0
# While somebody watches: what comes after a silence is stored as soon as what comes with it is there, and
# then so often. Those who watch look every 200 ms: with 200 ms here too, one line in twenty was late.
_WATCHED_FIRST_SECONDS = 0.03
_WATCHED_EVERY_SECONDS = 0.1
SHARE_BYTES = 2 * 1024 * 1024
TOTAL_BYTES = 16 * 1024 * 1024
_ASK_EVERY_SECONDS = 0.05
_TELL_EVERY_SECONDS = 5.0
# The main thread writes all pieces that wait in one go: told of each by itself, it works three times as much.
# Whoever looks at a quiet log waits for its pieces; of a busy one, the next are on their way.
_GROUP_SECONDS = 0.02
_GROUP_FULL_SECONDS = 0.2
_GROUP_BYTES = SHARE_BYTES // 2


@dataclass(slots=True)
class _Stream:
    run_id: UUID
    source: LogSource
    uncut: UncutLogSource | None = None  # the source, if it leaves it to us to find the ends of frames
    parts: list[bytes] = field(default_factory=list)  # what was read, and not sent yet
    size: int = 0
    since: float = 0.0
    flushed_at: float = 0.0
    held: int = 0
    is_polled: bool = False  # it has no descriptor to wait for
    registered: bool = False
    told_at: float = 0.0
    read_in: int = 0  # the last turn in which it was read
    pace: Pace = field(default_factory=Pace)
    last: deque[bytes] = field(default_factory=lambda: deque(maxlen=frames.END_RECORDS))  # frames sent last

    def note_last(self, data: bytes, tally: frames.Tally) -> None:
        """These frames are the last ones now."""
        if tally.end_bytes < tally.raw_bytes:
            self.last.clear()
        self.last.append(data[tally.raw_bytes - tally.end_bytes : tally.raw_bytes])


_READ_IN = attrgetter("read_in")
Argument: TypeAlias = LogSource | int | dict[UUID, float] | None


class LogPump:
    """See the module. Its methods are for the main thread, and return at once."""

    def __init__(self, inbox: Inbox, crumb: Crumb) -> None:
        self._inbox, self._crumb = inbox, crumb
        self._orders: queue.SimpleQueue[tuple[str, UUID, Argument]] = queue.SimpleQueue()
        self._wake = Wake()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wake.reader, selectors.EVENT_READ)
        self._streams: dict[UUID, _Stream] = {}
        self._held: dict[UUID, int] = {}
        self._followed: set[UUID] = set()  # whose logs the thread was given; the main thread's own
        self._watched: dict[UUID, float] = {}  # until when somebody watches
        self._asked_to_watch = False  # the main thread's own
        self._turns = 0
        self._wake_due = math.inf  # when the main thread is to be woken for pieces that it was not told of
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="logs", daemon=True)
        self._thread.start()

    def follow(self, run_id: UUID, source: LogSource) -> None:
        """Read the source to its end; LogEnded comes after its last piece."""
        self._followed.add(run_id)
        self._order("follow", run_id, source)

    def drop(self, run_id: UUID) -> None:
        """Stop reading an attempt's source; what was read so far is still sent, and LogEnded."""
        self._order("drop", run_id, None)

    def forget(self, run_id: UUID) -> None:
        """Nobody wants this attempt's log any more: stop reading it, and count nothing against its share."""
        if run_id in self._followed:
            self._followed.remove(run_id)
            self._order("forget", run_id, None)

    def watch(self, seconds: Mapping[UUID, float]) -> None:
        """These are the logs that somebody looks at, and for how many seconds yet; no others are."""
        if seconds or self._asked_to_watch:
            self._asked_to_watch = bool(seconds)
            now = time.monotonic()
            self._order("watch", NOBODY, {key: now + left for key, left in seconds.items()})

    def stored(self, run_id: UUID, held: int) -> None:
        """A piece is in the database (or not wanted any more): its share is free again."""
        if held:
            self._order("stored", run_id, held)

    @property
    def is_alive(self) -> bool:
        """False: the thread crashed, and no log is read any more."""
        return self._thread.is_alive()

    def stop(self, timeout_seconds: float) -> None:
        """Send what was read, let all sources go, end the thread."""
        self._stopping = True
        self._wake.set()
        self._thread.join(timeout_seconds)

    def _order(self, verb: str, run_id: UUID, argument: Argument) -> None:
        self._orders.put((verb, run_id, argument))
        self._wake.set()

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._turn()
        except Exception:  # nothing may pass in silence here: the worker is told by its end
            logger.exception("log pump crashed")
            raise
        finally:
            for stream in list(self._streams.values()):
                self._end(stream, "the worker is stopping")
            self._selector.close()

    def _turn(self) -> None:
        ready = self._selector.select(pacing.nap(self._patience()))
        self._turns += 1
        readable = [key.data for key, _ in ready if key.data is not None]
        if len(readable) < len(ready):
            self._wake.clear()
            self._take_orders()
        for stream in self._ready_streams(readable):
            with self._crumb(stream.run_id):
                self._read(stream)
        self._flush_old()
        if time.monotonic() >= self._wake_due:
            self._wake_reader()

    def _patience(self) -> float | None:
        due = self._wake_due
        for stream in self._streams.values():
            if stream.is_polled:
                return _ASK_EVERY_SECONDS
            if stream.pace.due:
                due = min(due, stream.pace.due)
            if stream.size:
                due = min(due, self._flush_due(stream))
        return None if due == math.inf else max(0.0, due - time.monotonic())

    def _ready_streams(self, readable: list[_Stream]) -> Iterator[_Stream]:
        # Whoever waited longest comes first, or the room that others leave would always go to the same ones.
        now = time.monotonic()
        due = [stream for stream in self._streams.values() if 0 < stream.pace.due <= now]
        for stream in sorted(readable + due, key=_READ_IN):
            if stream.registered or stream.pace.due:
                yield stream
        for stream in [stream for stream in self._streams.values() if stream.is_polled]:
            if self._has_room(stream):
                yield stream

    def _take_orders(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                verb, run_id, argument = self._orders.get_nowait()
                with self._crumb(run_id):
                    self._obey(verb, run_id, argument)

    def _obey(self, verb: str, run_id: UUID, argument: Argument) -> None:
        if verb == "follow":
            self._add(run_id, argument)  # type: ignore[arg-type]
        elif verb == "stored":
            self._free(run_id, int(argument or 0))  # type: ignore[arg-type]
        elif verb == "watch":
            self._watched = argument  # type: ignore[assignment]
        else:
            self._let_go(run_id, self._streams.get(run_id), for_good=verb == "forget")

    def _let_go(self, run_id: UUID, stream: _Stream | None, *, for_good: bool) -> None:
        if stream:
            self._end(stream, "given up")
        if for_good and self._held.pop(run_id, 0):
            self._resume_reading()

    def _free(self, run_id: UUID, size: int) -> None:
        left = self._held.pop(run_id, 0) - size
        if left > 0:
            self._held[run_id] = left
        self._resume_reading()

    def _add(self, run_id: UUID, source: LogSource) -> None:
        if run_id in self._streams:
            self._end(self._streams[run_id], "replaced by another source")
        uncut = source if isinstance(source, UncutLogSource) else None
        stream = _Stream(run_id, source, uncut=uncut, is_polled=source.fileno() < 0)
        self._streams[run_id] = stream
        if isinstance(
            source, BegunLog
        ):  # what it has to give, its end too, may make nothing readable any more
            stream.pace.soon(time.monotonic())
        self._register(stream)

    def _register(self, stream: _Stream) -> None:
        if not stream.is_polled and not stream.registered and not stream.pace.due:
            self._selector.register(stream.source.fileno(), selectors.EVENT_READ, stream)
            stream.registered = True

    def _unregister(self, stream: _Stream) -> None:
        stream.pace.due = 0.0
        if stream.registered:
            self._selector.unregister(stream.source.fileno())
            stream.registered = False

    def _has_room(self, stream: _Stream) -> bool:
        held = self._held.get(stream.run_id, 0)
        # Where nothing is held, what was read is the begin of one frame, which has to come to its end.
        return (not held or held + stream.size < SHARE_BYTES) and sum(self._held.values()) < TOTAL_BYTES

    def _resume_reading(self) -> None:
        for stream in self._streams.values():
            if self._has_room(stream):
                self._register(stream)

    def _read(self, stream: _Stream) -> None:
        if not self._has_room(stream):
            self._unregister(stream)
            return
        stream.read_in = self._turns
        try:
            data = stream.uncut.read_uncut(CHUNK_BYTES) if stream.uncut else None
            if data is None:
                self._hand_back(stream)
                data = stream.source.read(CHUNK_BYTES) if stream.run_id in self._streams else b""
        except EngineError as exc:
            self._end(stream, str(exc), is_gone=isinstance(exc, ContainerExecutionError))
            return
        except Exception as exc:  # one broken source must not end the reading of all the others
            logger.exception("log source crashed", attempt_id=str(stream.run_id))
            self._end(stream, f"{type(exc).__name__}: {exc}")
            return
        if data is None:
            self._end(stream, "")
            return
        if stream.run_id not in self._streams:
            return
        self._pace(stream, len(data))
        if data:
            self._take(stream, data)

    def _hand_back(self, stream: _Stream) -> None:
        """Send the whole frames that were read, and give the source what follows them."""
        if stream.uncut and stream.parts:
            self._flush(stream)
            self._give_back(stream)

    def _give_back(self, stream: _Stream) -> None:
        if stream.uncut and stream.parts:
            stream.uncut.give_back(b"".join(stream.parts))
            stream.parts, stream.size = [], 0

    def _take(self, stream: _Stream, data: bytes) -> None:
        stream.since = stream.since if stream.size else time.monotonic()
        stream.parts.append(data)
        stream.size += len(data)
        if stream.size >= CHUNK_BYTES:
            self._flush(stream, least=CHUNK_BYTES)

    def _pace(self, stream: _Stream, size: int) -> None:
        """After a read: leave it alone for a while if it is busy, and else wait until there is more of it."""
        if stream.is_polled:
            return
        if size:
            self._unregister(stream)
            stream.pace.after(size, time.monotonic())
        elif stream.registered:  # something came, and is stored already
            self._tell_move(stream)
            self._unregister(stream)
            stream.pace.soon(time.monotonic())
        else:
            stream.pace.rest()
            self._register(stream)

    def _tell_move(self, stream: _Stream) -> None:
        now = time.monotonic()
        if now >= stream.told_at + _TELL_EVERY_SECONDS:
            stream.told_at = now
            self._inbox.put(LogMoves(stream.run_id))

    def _flush_due(self, stream: _Stream) -> float:
        """When what was read is to be sent, however little it is."""
        if self._watched.get(stream.run_id, 0.0) <= stream.since:
            return stream.since + FLUSH_AFTER_SECONDS
        return max(stream.since + _WATCHED_FIRST_SECONDS, stream.flushed_at + _WATCHED_EVERY_SECONDS)

    def _flush_old(self) -> None:
        now = time.monotonic()
        for stream in [each for each in self._streams.values() if each.size]:
            if self._flush_due(stream) <= now:
                stream.flushed_at = now
                with self._crumb(stream.run_id):
                    self._flush(stream)

    def _flush(self, stream: _Stream, *, least: int = 1) -> None:
        """Send what was read in pieces; what is left of less than `least` bytes waits for more."""
        data = b"".join(stream.parts)
        stream.parts, stream.size = [], 0
        try:
            while len(data) >= least and (size := self._send(stream, data)):
                data = data[size:]
            stream.parts, stream.size = [data] if data else [], len(data)
            stream.since = time.monotonic()
        except (ValueError, struct.error) as exc:
            if stream.uncut and isinstance(exc, frames.NoFrame):
                self._ask_what_it_is(stream, data)
                return
            # A frame that is none: this source cannot be trusted, the others can.
            self._give_up(stream, f"the log holds something that is no record: {exc}")

    def _ask_what_it_is(self, stream: _Stream, data: bytes) -> None:
        """The source knows best what it sends that is no frame; the next read tells."""
        stream.parts, stream.size = [data], len(data)
        self._give_back(stream)
        if stream.run_id in self._streams:
            self._unregister(stream)
            stream.pace.soon(time.monotonic())

    def _send(self, stream: _Stream, data: bytes) -> int:
        """Send the frames that come first in data; how many bytes of it they are."""
        if stream.uncut:
            piece = Piece.of_first(data, enough=CHUNK_BYTES)
            if piece is None:
                return 0
        else:
            piece = Piece.of(data, enough=CHUNK_BYTES)
        size = piece.tally.raw_bytes
        stream.note_last(data, piece.tally)
        stream.pace.record_bytes = size // (piece.tally.stdout_lines + piece.tally.stderr_lines or 1)
        self._held[stream.run_id] = self._held.get(stream.run_id, 0) + size
        self._inbox.put(PieceRead(stream.run_id, piece, size, stream.source.missing), wake=False)
        wait = _GROUP_FULL_SECONDS if size >= CHUNK_BYTES else _GROUP_SECONDS
        self._wake_due = min(self._wake_due, time.monotonic() + wait)
        if self._held[stream.run_id] >= _GROUP_BYTES:
            self._wake_reader()
        return size

    def _wake_reader(self) -> None:
        self._wake_due = math.inf
        self._inbox.wake()

    def _give_up(self, stream: _Stream, error: str) -> None:
        if stream.run_id in self._streams:
            self._end(stream, error)
        else:
            self._inbox.put(LogEnded(stream.run_id, error))

    def _end(self, stream: _Stream, error: str, *, is_gone: bool = False) -> None:
        self._unregister(stream)
        del self._streams[stream.run_id]
        stream.source.close()
        self._flush(stream)
        end = b"" if error else frames.recognisable_end(b"".join(stream.last))
        self._inbox.put(LogEnded(stream.run_id, error, is_gone, stream.source.missing, end))

"""One thread that reads the logs of all containers of a worker, and cuts them into pieces to be stored.

What it has read but nobody has stored yet is bounded: 1 MiB an attempt, 16 MiB in all. A source over its
share is not read from, so the engine keeps the bytes; nothing is spooled, nothing is dropped.
"""

from __future__ import annotations

import contextlib
import queue
import selectors
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID

import structlog

from hosts.errors import ContainerExecutionError, EngineError
from hosts.executors.contract import LogSource
from jobs.logs import Piece
from supervisor.worker.breadcrumb import Crumb
from supervisor.worker.inbox import Inbox, Wake

logger = structlog.get_logger(__name__)

CHUNK_BYTES = 256 * 1024
FLUSH_AFTER_SECONDS = 1.0
SHARE_BYTES = 1024 * 1024
TOTAL_BYTES = 16 * 1024 * 1024
_ASK_EVERY_SECONDS = 0.05
_TELL_EVERY_SECONDS = 5.0
# Letting sockets fill for a moment cuts reads by fifty, and Python's CPU by 40 %; longer naps throttle.
_NAP_SECONDS = 0.0005
_NAP_MANY_SECONDS = 0.002
# The main thread writes all pieces that wait in one go: told of each by itself, it works three times as much.
_GROUP_SECONDS = 0.02
_GROUP_BYTES = SHARE_BYTES // 2


@dataclass(frozen=True, slots=True)
class PieceRead:
    """The next piece of an attempt's log; `held` bytes count against its share until `stored` is told.

    `missing` says that bytes before it are gone for ever; empty if none are.
    """

    run_id: UUID
    piece: Piece
    held: int
    missing: str = ""


@dataclass(frozen=True, slots=True)
class LogEnded:
    """A source came to its end (`error` empty) or broke; all its pieces were sent before.

    `is_gone`: the engine says that there is no such log, and there is no use in asking again. `missing` says
    that bytes before its last ones are gone; empty if none are.
    """

    run_id: UUID
    error: str = ""
    is_gone: bool = False
    missing: str = ""


@dataclass(frozen=True, slots=True)
class LogMoves:
    """Bytes of a source come, of which none is new so far: it is not quiet."""

    run_id: UUID


@dataclass(slots=True)
class _Stream:
    run_id: UUID
    source: LogSource
    buffer: bytearray = field(default_factory=bytearray)
    since: float = 0.0
    held: int = 0
    registered: bool = False
    told_at: float = 0.0
    read_in: int = 0  # the last turn in which it was read


class LogPump:
    """See the module. Its methods are for the main thread, and return at once."""

    def __init__(self, inbox: Inbox, crumb: Crumb) -> None:
        self._inbox, self._crumb = inbox, crumb
        self._orders: queue.SimpleQueue[tuple[str, UUID, LogSource | int | None]] = queue.SimpleQueue()
        self._wake = Wake()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wake.reader, selectors.EVENT_READ)
        self._streams: dict[UUID, _Stream] = {}
        self._held: dict[UUID, int] = {}
        self._turns = 0
        self._unheard_since = 0.0  # when the first piece came that the main thread was not woken for
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="logs", daemon=True)
        self._thread.start()

    def follow(self, run_id: UUID, source: LogSource) -> None:
        """Read the source to its end; LogEnded comes after its last piece."""
        self._order("follow", run_id, source)

    def drop(self, run_id: UUID) -> None:
        """Stop reading an attempt's source; what was read so far is still sent, and LogEnded."""
        self._order("drop", run_id, None)

    def forget(self, run_id: UUID) -> None:
        """Nobody wants this attempt's log any more: stop reading it, and count nothing against its share."""
        self._order("forget", run_id, None)

    def stored(self, run_id: UUID, held: int) -> None:
        """A piece is in the database (or not wanted any more): its share is free again."""
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

    def _order(self, verb: str, run_id: UUID, argument: LogSource | int | None) -> None:
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
        ready = self._selector.select(self._patience())
        self._turns += 1
        if any(key.data is None for key, _ in ready):
            self._wake.clear()
            self._take_orders()
        read = 0
        for stream in self._ready_streams(ready):
            with self._crumb(stream.run_id):
                read += self._read(stream)
        self._flush_old()
        if self._unheard_since and time.monotonic() >= self._unheard_since + _GROUP_SECONDS:
            self._wake_reader()
        if read:
            time.sleep(_NAP_MANY_SECONDS if len(self._streams) > 1 else _NAP_SECONDS)

    def _patience(self) -> float:
        if any(stream.source.fileno() < 0 for stream in self._streams.values()):
            return _ASK_EVERY_SECONDS
        due = [stream.since + FLUSH_AFTER_SECONDS for stream in self._streams.values() if stream.buffer]
        if self._unheard_since:
            due.append(self._unheard_since + _GROUP_SECONDS)
        if not due:
            return FLUSH_AFTER_SECONDS
        return max(0.0, min(due) - time.monotonic())

    def _ready_streams(self, ready: list[tuple[selectors.SelectorKey, int]]) -> Iterator[_Stream]:
        # Whoever waited longest comes first, or the room that others leave would always go to the same ones.
        streams = [key.data for key, _ in ready if isinstance(key.data, _Stream)]
        for stream in sorted(streams, key=lambda stream: stream.read_in):
            if stream.registered:
                yield stream
        for stream in list(self._streams.values()):
            if stream.source.fileno() < 0 and self._has_room(stream):
                yield stream

    def _take_orders(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                verb, run_id, argument = self._orders.get_nowait()
                with self._crumb(run_id):
                    self._obey(verb, run_id, argument)

    def _obey(self, verb: str, run_id: UUID, argument: LogSource | int | None) -> None:
        if verb == "follow":
            self._add(run_id, argument)  # type: ignore[arg-type]
        elif verb == "stored":
            self._free(run_id, int(argument or 0))  # type: ignore[arg-type]
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
        stream = _Stream(run_id, source)
        self._streams[run_id] = stream
        self._register(stream)

    def _register(self, stream: _Stream) -> None:
        if stream.source.fileno() >= 0 and not stream.registered:
            self._selector.register(stream.source.fileno(), selectors.EVENT_READ, stream)
            stream.registered = True

    def _unregister(self, stream: _Stream) -> None:
        if stream.registered:
            self._selector.unregister(stream.source.fileno())
            stream.registered = False

    def _has_room(self, stream: _Stream) -> bool:
        held = self._held.get(stream.run_id, 0) + len(stream.buffer)
        return held < SHARE_BYTES and sum(self._held.values()) < TOTAL_BYTES

    def _resume_reading(self) -> None:
        for stream in self._streams.values():
            if self._has_room(stream):
                self._register(stream)

    def _read(self, stream: _Stream) -> int:
        if not self._has_room(stream):
            self._unregister(stream)
            return 0
        stream.read_in = self._turns
        try:
            data = stream.source.read(CHUNK_BYTES)
        except EngineError as exc:
            self._end(stream, str(exc), is_gone=isinstance(exc, ContainerExecutionError))
            return 0
        except Exception as exc:  # one broken source must not end the reading of all the others
            logger.exception("log source crashed", attempt=str(stream.run_id))
            self._end(stream, f"{type(exc).__name__}: {exc}")
            return 0
        if data is None:
            self._end(stream, "")
            return 0
        if not data and stream.registered:
            self._tell_move(stream)
        if data:
            stream.since = stream.since if stream.buffer else time.monotonic()
            stream.buffer += data
            if len(stream.buffer) >= CHUNK_BYTES:
                self._flush(stream, least=CHUNK_BYTES)
        return len(data)

    def _tell_move(self, stream: _Stream) -> None:
        now = time.monotonic()
        if now >= stream.told_at + _TELL_EVERY_SECONDS:
            stream.told_at = now
            self._inbox.put(LogMoves(stream.run_id))

    def _flush_old(self) -> None:
        now = time.monotonic()
        for stream in list(self._streams.values()):
            if stream.buffer and now - stream.since >= FLUSH_AFTER_SECONDS:
                with self._crumb(stream.run_id):
                    self._flush(stream)

    def _flush(self, stream: _Stream, *, least: int = 1) -> None:
        """Send what was read in pieces; what is left of less than `least` bytes waits for more."""
        data = bytes(stream.buffer)
        stream.buffer.clear()
        try:
            while len(data) >= least:
                data = data[self._send(stream, data) :]
            stream.buffer += data
            stream.since = time.monotonic()
        except (ValueError, struct.error) as exc:
            # A frame that is none: this source cannot be trusted, the others can.
            self._give_up(stream, f"the log holds something that is no record: {exc}")

    def _send(self, stream: _Stream, data: bytes) -> int:
        piece = Piece.of(data, enough=CHUNK_BYTES)
        size = piece.tally.raw_bytes
        self._held[stream.run_id] = self._held.get(stream.run_id, 0) + size
        self._inbox.put(PieceRead(stream.run_id, piece, size, stream.source.missing), wake=False)
        self._unheard_since = self._unheard_since or time.monotonic()
        if self._held[stream.run_id] >= _GROUP_BYTES:
            self._wake_reader()
        return size

    def _wake_reader(self) -> None:
        self._unheard_since = 0.0
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
        self._inbox.put(LogEnded(stream.run_id, error, is_gone, stream.source.missing))

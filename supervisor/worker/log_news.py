"""What the log pump tells the main thread."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from jobs.logs import Piece


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
    that bytes before its last ones are gone; empty if none are. `end` is for `Resume.end`.
    """

    run_id: UUID
    error: str = ""
    is_gone: bool = False
    missing: str = ""
    end: bytes = b""


@dataclass(frozen=True, slots=True)
class LogMoves:
    """Bytes of a source come, of which none is new so far: it is not quiet."""

    run_id: UUID

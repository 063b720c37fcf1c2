"""Logs for tests: frames with times a test can count on, and storing them as a worker does."""

from __future__ import annotations

from hosts.executors import frames
from hosts.executors.frames import STDERR, STDOUT
from jobs import logs
from jobs.logs import Piece
from jobs.models import Attempt

NOON = 1_777_636_800  # 2026-05-01 12:00:00 UTC


def out(text: str | bytes, second: float = 0.0) -> bytes:
    """A frame of stdout, written so many seconds after noon."""
    return _frame(STDOUT, text, second)


def err(text: str | bytes, second: float = 0.0) -> bytes:
    """A frame of stderr."""
    return _frame(STDERR, text, second)


def _frame(stream: int, text: str | bytes, second: float) -> bytes:
    payload = text.encode() if isinstance(text, str) else text
    return frames.pack(stream, frames.stamp((NOON * 1000 + round(second * 1000)) * 1_000_000), payload)


def store(attempt: Attempt, *pieces: bytes) -> list[bool]:
    """Append each piece as the next chunk; which of them were taken."""
    taken = []
    for data in pieces:
        rows = [logs.row(attempt.id, attempt.epoch, attempt.next_seq, Piece.of(data))]
        taken.append(attempt.id in logs.append(rows))
        attempt.refresh_from_db()
    return taken


def text(attempt: Attempt, stream: int = STDOUT) -> bytes:
    """A stream as it is stored."""
    return b"".join(logs.stream_bytes(attempt.id, stream))

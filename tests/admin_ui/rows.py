"""What a worker would have written."""

from __future__ import annotations

from hosts.executors import frames
from jobs import logs
from jobs.models import Attempt

TIME = b"2025-01-31T12:00:00.000000000Z"


def store_log(attempt: Attempt, *payloads: tuple[int, bytes]) -> None:
    """One more chunk of an open attempt's log, of (stream, bytes)."""
    data = b"".join(frames.pack(stream, TIME, payload) for stream, payload in payloads)
    attempt.refresh_from_db()
    assert logs.append([logs.row(attempt.id, attempt.epoch, attempt.next_seq, logs.Piece.of(data))])

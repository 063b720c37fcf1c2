"""A log that is there whole, as a LogSource."""

from __future__ import annotations

import time

from hosts.executors import frames
from hosts.executors.log_source import Resume


class TextLog:
    """A LogSource over texts that are there whole."""

    missing = ""

    def __init__(self, said: object, resume: Resume) -> None:
        texts = said if isinstance(said, tuple) else (said, "")
        skip = (resume.stdout_bytes, resume.stderr_bytes)
        self._parts = [_encoded(text)[done:] for text, done in zip(texts, skip, strict=True)]

    def fileno(self) -> int:
        """None: it is always ready."""
        return -1

    def read(self, budget: int) -> bytes | None:
        """Frames of what is left, stdout first."""
        now = frames.stamp(time.time_ns())
        found: list[bytes] = []
        for place, stream in enumerate((frames.STDOUT, frames.STDERR)):
            while self._parts[place] and budget > 0:
                piece, self._parts[place] = _first_line(self._parts[place])
                found.append(frames.pack(stream, now, piece))
                budget -= len(piece)
        return b"".join(found) or None

    def close(self) -> None:
        """Nothing is held."""


def _encoded(text: object) -> bytes:
    return bytes(text) if isinstance(text, bytes | bytearray) else str(text or "").encode()


def _first_line(text: bytes) -> tuple[bytes, bytes]:
    end = text.find(b"\n", 0, frames.PIECE_BYTES) + 1 or frames.PIECE_BYTES
    return text[:end], text[end:]

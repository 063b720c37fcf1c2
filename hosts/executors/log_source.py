"""The part of the contract that is about logs: where what is stored ends, and what gives the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """Where the stored part of a log ends.

    `tail` is the stored frames of its last 4 seconds (`tail_seconds`, as the executor's `log_tail_seconds`
    says), and the last one of each stream however old that is, in the order of the log (for engines resumed
    by time and overlap). The byte counts are the payload taken from the engine so far per stream (for engines
    resumed by offset). An executor that cannot be sure from `tail`
    goes by the counts, which is as exact, but has to read the log from its start.

    Where a container writes much, `tail` begins later: `covers` is the time from which on it has all that was
    stored last (empty: `tail_seconds` back). `first` is the header and time of the log's first frame: a log
    that begins with another one has lost its start. `tty` says that the container has a terminal.

    `end` is given instead of `tail`, `covers` and `first` for the read after a log was followed to its end:
    the last stored frames, none left out, as `frames.recognisable_end` has them. An executor that does not
    find them again raises DockerConnectionError before it gives any frame, and is asked anew without `end`.
    For a terminal it is not given: a part of its log cannot be cut into records without what is before it.
    """

    newest: str = ""  # RFC 3339 with nanoseconds, as the engine wrote it
    tail: bytes = b""
    stdout_bytes: int = 0
    stderr_bytes: int = 0
    covers: str = ""
    first: bytes = b""
    end: bytes = b""
    tty: bool = False
    tail_seconds: float = 4.0


class LogSource(Protocol):
    """One container's log from one place on, without blocking.

    Data is whole frames: 1 byte stream (1 stdout, 2 stderr), 3 zero bytes, 4 bytes big-endian length,
    then 30 bytes RFC 3339 UTC timestamp, one space, and the bytes as the container wrote them.
    """

    def fileno(self) -> int:
        """The descriptor that gets readable with new data; -1 where only reading can tell."""

    @property
    def missing(self) -> str:
        """A sentence once it is known that bytes before those read last are gone for ever; else empty."""

    def read(self, budget: int) -> bytes | None:
        """Whole frames read now, around `budget` bytes at most; b"" if none yet; None at the end.

        Raises DockerConnectionError when the stream broke: open a new source from what is stored.
        """

    def close(self) -> None:
        """Let go of the descriptor; may be called twice."""


@runtime_checkable
class UncutLogSource(LogSource, Protocol):
    """A source that also gives its bytes as they come, to whoever finds the ends of frames anyway."""

    def read_uncut(self, budget: int) -> bytes | None:
        """As `read`, but cut anywhere, and it raises nothing; None: `read` knows what is to be said.

        Before `read` is called, what follows the last whole frame is to be given back.
        """

    def give_back(self, data: bytes) -> None:
        """Bytes that hold no whole frame yet, or begin none: `read` goes on with them."""

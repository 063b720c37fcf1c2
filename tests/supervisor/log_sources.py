"""Logs to be read, as executors hand them to the pump."""

from __future__ import annotations

import contextlib
import select
import socket
import time

from hosts.executors import frames

# As long as this nobody reads: then nobody is going to.
STUCK_SECONDS = 0.3
PATIENCE_SECONDS = 5.0


class SocketSource:
    """A log that comes over a socket; what the pump does not read stays in the socket's buffer."""

    def __init__(self) -> None:
        # Of packets: each holds whole frames, however it is read.
        self._ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.setblocking(False)
        self._theirs.settimeout(PATIENCE_SECONDS)
        self._error: Exception | None = None
        self.closed = False
        self.missing = ""
        self.bytes_read = 0
        self.reads = 0

    def write(self, payload: bytes, *, stream: int = frames.STDOUT) -> int:
        """The container says something; the size of its frame."""
        return self._theirs.send(frames.pack(stream, frames.stamp(time.time_ns()), payload))

    def fill(self, payload: bytes) -> int:
        """The container goes on until nobody reads it any more; how many bytes it could say."""
        written = 0
        while select.select([], [self._theirs], [], STUCK_SECONDS)[1]:
            written += self.write(payload)
        return written

    def fail(self, error: Exception) -> None:
        """Raise this when all that was written has been read."""
        self._error = error
        self.end()

    def end(self) -> None:
        """The log ends here."""
        self._theirs.close()

    def fileno(self) -> int:
        return self._ours.fileno()

    def read(self, budget: int) -> bytes | None:
        self.reads += 1
        data = b""
        with contextlib.suppress(BlockingIOError):
            while len(data) < budget:
                packet = self._ours.recv(budget)
                if not packet:
                    break
                data += packet
        self.bytes_read += len(data)
        return data or self._nothing()

    def _nothing(self) -> bytes | None:
        if self._theirs.fileno() >= 0:
            return b""
        if self._error:
            raise self._error
        return None

    def close(self) -> None:
        self.closed = True
        self._ours.close()


class PolledSource:
    """A log that only reading can tell about: `data` is what the next reads answer."""

    def __init__(self) -> None:
        self.data: list[bytes | None] = []
        self.reads = 0
        self.closed = False
        self.missing = ""

    def fileno(self) -> int:
        return -1

    def read(self, _budget: int) -> bytes | None:
        self.reads += 1
        return self.data.pop(0) if self.data else b""

    def close(self) -> None:
        self.closed = True

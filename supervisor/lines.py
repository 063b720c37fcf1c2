"""JSON objects over a socket, one a line, without ever blocking either side."""

from __future__ import annotations

import json
import socket
from typing import Any


class LineSocket:
    """What cannot be sent at once waits here; what comes in halves waits for its other half."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._outgoing, self._incoming = bytearray(), bytearray()
        self.is_closed = False

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._socket.fileno()

    def send(self, message: dict[str, Any]) -> None:
        """Send, or keep it for the next call."""
        self._outgoing += json.dumps(message).encode() + b"\n"
        self.flush()

    def flush(self) -> None:
        """Send what waits."""
        try:
            while self._outgoing:
                sent = self._socket.send(self._outgoing)
                del self._outgoing[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self.is_closed = True

    def receive(self) -> list[dict[str, Any]]:
        """The messages that are whole by now."""
        self.flush()
        try:
            while data := self._socket.recv(65536):
                self._incoming += data
            self.is_closed = True
        except BlockingIOError:
            pass
        except OSError:
            self.is_closed = True
        *lines, rest = self._incoming.split(b"\n")
        self._incoming = bytearray(rest)
        return [json.loads(line) for line in lines]

    def close(self) -> None:
        """Let the socket go."""
        self._socket.close()

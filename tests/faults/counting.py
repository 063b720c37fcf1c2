"""Counting runs where they happen: each container tells us itself that it was started."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import Counter
from typing import Self

# What a host has to allow: the containers reach the counter over the machine's own network, as root.
COUNTED = {"root": True, "host_network": True}


class RunCounter:
    """Takes lines over TCP on this machine, and counts them. A container waits until it was counted.

    The container's first act: `echo "$TALLYMAN_JOB_ID $TALLYMAN_ATTEMPT" | nc 127.0.0.1 PORT`.
    """

    def __init__(self) -> None:
        self.runs: Counter[tuple[str, str]] = Counter()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._count, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _count(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                with client, contextlib.suppress(OSError):
                    client.settimeout(5)
                    words = client.makefile().readline().split()
                    if len(words) == 2:
                        self.runs[words[0], words[1]] += 1

"""A Redis of its own, for what web processes tell each other through it."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import redis

from tests.support.engines import free_port
from tests.support.requirements import missing
from tests.support.waiting import wait_until


@dataclass(frozen=True, slots=True)
class RedisServer:
    """One redis-server, which keeps nothing."""

    url: str
    process: subprocess.Popen[bytes]

    @property
    def client(self) -> redis.Redis:
        """For looking on."""
        return redis.Redis.from_url(self.url)

    def stop(self) -> None:
        """End it; again and again does no harm."""
        self.process.terminate()
        self.process.wait(10)


@contextlib.contextmanager
def running_redis(folder: Path) -> Iterator[RedisServer]:
    """Debian's redis-server, until the block ends."""
    program = shutil.which("redis-server")
    if program is None:
        missing("redis", "redis-server is not installed")
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    process = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
    server = RedisServer(f"redis://127.0.0.1:{port}", process)

    def listens() -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False

    try:
        wait_until(listens, 10, "redis to listen")
        yield server
    finally:
        server.stop()

"""The real web process, and many who ask it at once."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.support.engines import free_port
from tests.support.supervising import ROOT
from tests.support.waiting import wait_until

PROBES = ("/health/live", "/health/ready", "/health/", "/metrics")
_ASKERS_OF_EACH = 4


class Web:
    """gunicorn with one worker; `ask` from several threads at once."""

    def __init__(self, database_url: str, **environment: str) -> None:
        self.port = free_port()
        self._database_url = database_url
        self._environment = environment
        self.start()

    def start(self) -> None:
        """Start it; after `stop`, once more on the same port."""
        environment = {"DATABASE_URL": self._database_url, "PORT": str(self.port), "BIND": "127.0.0.1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "config.asgi:application", "-c", "gunicorn.conf.py"],
            env={
                **os.environ,
                **environment,
                "WEB_CONCURRENCY": "1",
                "LOG_LEVEL": "ERROR",
                **self._environment,
            },
            cwd=ROOT,
        )

    def ask(self, path: str) -> int:
        """The status of one answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()

    def crowd(self, seconds: float) -> tuple[dict[str, Counter[int]], float]:
        """The statuses by path that many got who asked for so long, and the longest wait of all."""
        found: dict[str, Counter[int]] = {path: Counter() for path in PROBES}
        waits: list[float] = []
        until = time.monotonic() + seconds

        def ask_on(path: str) -> None:
            while time.monotonic() < until or not waits:
                began = time.monotonic()
                found[path][self.ask(path)] += 1
                waits.append(time.monotonic() - began)

        askers = [threading.Thread(target=ask_on, args=(path,)) for path in PROBES * _ASKERS_OF_EACH]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
        return found, max(waits)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


@contextmanager
def running_web(database_url: str, **environment: str) -> Iterator[Web]:
    """A web process that listens; it ends with the block."""
    web = Web(database_url, **environment)
    try:
        wait_until(lambda: _listens(web), 20, "gunicorn to listen")
        yield web
    finally:
        web.stop()


def _listens(web: Web) -> bool:
    try:
        return web.ask("/health/live") == 200
    except OSError:
        return False


def only(statuses: Mapping[str, int]) -> dict[str, set[int]]:
    """What `seen` gives if each path answered nothing but this."""
    return {path: {status} for path, status in statuses.items()}


def seen(found: Mapping[str, Counter[int]]) -> dict[str, set[int]]:
    """Which statuses a crowd got, by path."""
    return {path: set(statuses) for path, statuses in found.items()}

"""The real web process, asked by many at once, while its database works, hangs and is gone."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator

import psutil
import pytest

from tests.support import requirements
from tests.support.engines import free_port
from tests.support.postgres import PostgresServer
from tests.support.postgres import unavailable as postgres_unavailable
from tests.support.supervising import ROOT
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.postgres, pytest.mark.process]
ASKERS = 16
# The checks give up after 3 s; the rest is for a machine that is busy with other tests.
LONGEST_SECONDS = 6.0
FAILS = {"/health/live": 200, "/health/ready": 503, "/health/": 503, "/metrics": 503}
# No supervisor is running, so /health/ fails.
WORKS = {"/health/live": 200, "/health/ready": 200, "/health/": 503, "/metrics": 200}


class Web:
    """gunicorn with one worker; `ask` from several threads at once."""

    def __init__(self, database_url: str) -> None:
        self.port = free_port()
        environment = {"DATABASE_URL": database_url, "PORT": str(self.port), "BIND": "127.0.0.1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "config.asgi:application", "-c", "gunicorn.conf.py"],
            env={**os.environ, **environment, "WEB_CONCURRENCY": "1", "LOG_LEVEL": "ERROR"},
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
        found: dict[str, Counter[int]] = {path: Counter() for path in FAILS}
        waits: list[float] = []
        until = time.monotonic() + seconds

        def ask_on(path: str) -> None:
            while time.monotonic() < until or not waits:
                began = time.monotonic()
                found[path][self.ask(path)] += 1
                waits.append(time.monotonic() - began)

        paths = list(FAILS) * (ASKERS // len(FAILS))
        askers = [threading.Thread(target=ask_on, args=(path,)) for path in paths]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
        return found, max(waits)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    if reason := postgres_unavailable():
        requirements.missing("postgres", reason)
    with PostgresServer() as running:
        yield running


@pytest.fixture(scope="module")
def web(server: PostgresServer) -> Iterator[Web]:
    url = server.create_database("probed")
    migrate = [sys.executable, "manage.py", "migrate", "--verbosity=0"]
    subprocess.run(migrate, env={**os.environ, "DATABASE_URL": url}, cwd=ROOT, check=True)
    running = Web(url)
    try:
        wait_until(lambda: listens(running), 20, "gunicorn to listen")
        yield running
    finally:
        running.stop()


def listens(web: Web) -> bool:
    try:
        return web.ask("/health/live") == 200
    except OSError:
        return False


def only(statuses: dict[str, int]) -> dict[str, set[int]]:
    return {path: {status} for path, status in statuses.items()}


def seen(found: dict[str, Counter[int]]) -> dict[str, set[int]]:
    return {path: set(statuses) for path, statuses in found.items()}


def test_many_probes_get_the_right_answers_while_all_is_well(web: Web) -> None:
    found, longest = web.crowd(1.0)
    assert seen(found) == only(WORKS)
    assert longest < LONGEST_SECONDS


def test_a_database_that_hangs_fails_the_probes_but_holds_up_none_and_piles_up_nothing(
    web: Web, server: PostgresServer
) -> None:
    [worker] = psutil.Process(web.process.pid).children()
    count = worker.num_threads
    server.pause()
    try:
        found, longest = web.crowd(3.5)
        assert seen(found) == only(FAILS)
        assert longest < LONGEST_SECONDS
        threads = count()
        web.crowd(1.0)
        wait_until(lambda: count() <= threads, 5, "no more threads to wait than after the first of them")
    finally:
        server.resume()
    wait_until(lambda: seen(web.crowd(0.1)[0]) == only(WORKS), 15, "the probes to succeed again")


def test_a_database_that_is_gone_fails_the_probes_at_once(web: Web, server: PostgresServer) -> None:
    server.kill()
    try:
        found, longest = web.crowd(1.0)
        assert seen(found) == only(FAILS)
        assert longest < LONGEST_SECONDS
    finally:
        server.start()
    wait_until(lambda: seen(web.crowd(0.1)[0]) == only(WORKS), 15, "the probes to succeed again")

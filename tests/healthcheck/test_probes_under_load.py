"""The real web process, asked by many at once, while its database works, hangs and is gone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from tests.support import requirements
from tests.support.postgres import PostgresServer
from tests.support.postgres import unavailable as postgres_unavailable
from tests.support.supervising import ROOT
from tests.support.waiting import wait_until
from tests.support.web import Web, only, running_web, seen

pytestmark = [pytest.mark.postgres, pytest.mark.process]
# The checks give up after 3 s; the rest is for a machine that is busy with other tests.
LONGEST_SECONDS = 6.0
FAILS = {"/health/live": 200, "/health/ready": 503, "/health/": 503, "/metrics": 503}
# No supervisor is running, so /health/ fails.
WORKS = {"/health/live": 200, "/health/ready": 200, "/health/": 503, "/metrics": 200}


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
    with running_web(url) as running:
        yield running


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
        web.crowd(1.0)  # pools that grow as they are used have what they need, on a slow machine too
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

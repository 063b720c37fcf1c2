"""(w1) The list of jobs: the server's time for each tab, page and filter, at 1,000 and at 1,000,000 jobs."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from bench import ground
from bench.places import Place, sqlite
from bench.rounds import Result, say, short
from bench.web_times import ROUNDS
from tests.support.postgres import PostgresServer

FEW, MANY = 1000, 1_000_000
TARGET_MS = 100.0
TARGET_RATIO = 1.5
# Those that have as many rows with few jobs as with many; of the others there is less to show.
FULL = ("tab all", "tab completed", "page in the middle, older", "page in the middle, newer", "live part")
Times = dict[str, tuple[float, float]]


def measure(server: PostgresServer) -> Result:
    """Both databases, each at both sizes."""
    return _report(
        [_on_postgresql(server, FEW), _on_postgresql(server, MANY), _on_sqlite(FEW), _on_sqlite(MANY)]
    )


def _report(columns: list[Times]) -> Result:
    result = Result(
        "w1", "The list of jobs", ["ms", "PostgreSQL, 1,000", "1,000,000", "SQLite, 1,000", "1,000,000"]
    )
    for name in columns[0]:
        result.rows.append(
            [name, *(f"{short(times[name][0])} ({short(times[name][1])})" for times in columns)]
        )
    for name, few, many in (("PostgreSQL", *columns[:2]), ("SQLite", *columns[2:])):
        result.at_most(
            f"{name}, slowest at {MANY:,} jobs, ms,", max(passed for passed, _ in many.values()), TARGET_MS
        )
        worst = max(many[key][1] / few[key][1] for key in FULL)
        claim = f"{name}, processor time of full pages, {MANY:,} jobs over {FEW:,},"
        result.at_most(claim, worst, TARGET_RATIO)
    result.notes.append(
        f"The median of {ROUNDS} answers, each through all of Django (session, permissions, queries, page) "
        "in one process, without the network; in parentheses the processor's time of that process and its "
        "database session, the mean. As many attempts as jobs, 101 hosts, 61 templates, 3,000 "
        "pending. What no index finds is looked up in a window of 10,000 jobs, and the page says how far it "
        "came; with 1,000 jobs there is less to look through."
    )
    return result


def _on_postgresql(server: PostgresServer, count: int) -> Times:
    return _times(Place("PostgreSQL", "", {"DATABASE_URL": server.create_database(f"web_{count}")}), count)


def _on_sqlite(count: int) -> Times:
    with sqlite() as place:
        return _times(place, count)


def _times(place: Place, count: int) -> Times:
    say(f"  {place.name} with {count:,} jobs")
    environment = {**os.environ, **place.environment}
    command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    subprocess.run(command, cwd=ground.ROOT, env=environment, check=True)
    command = [sys.executable, "-m", "bench.web_times", str(count)]
    done = subprocess.run(
        command, cwd=ground.ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    times: Times = json.loads(done.stdout)
    return times

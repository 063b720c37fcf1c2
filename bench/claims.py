"""(e) Claim and finish: jobs a second when running them costs nothing, beside procrastinate."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from typing import Any

from bench import ground, work
from bench.nothing import KIND
from bench.rounds import Result, in_turn
from tests.support.postgres import PostgresServer

JOBS = 1000
WARM_UP = 200
FAIR, MANY = 10, 50
TARGET = 4.0


def measure(server: PostgresServer) -> Result:
    """Both in turn, on one server; ours with as many slots as the other's concurrency, and with more."""
    from hosts.models import DockerHost
    from jobs.models import ContainerTemplate

    conninfo = server.create_database("procrastinate")
    host = DockerHost.objects.create(name="nothing", executor_type=KIND, max_concurrent_jobs=FAIR)
    template = ContainerTemplate.objects.create(name="nothing", docker_image="none", command="true")
    with ground.running("-m", "bench.nothing", "supervise"):
        _work(host, template, WARM_UP, FAIR)
        series = in_turn(
            {
                "tallyman, 10 at once": lambda: _work(host, template, JOBS, FAIR),
                "procrastinate, 10 at once": lambda: _rival(conninfo, FAIR),
                "tallyman, 50 at once": lambda: _work(host, template, JOBS, MANY),
            }
        )
    rival = series["procrastinate, 10 at once"]
    version = metadata.version("procrastinate")
    result = Result("e", "Claim and finish", ["", "jobs/s", "times procrastinate"])
    for name, numbers in series.items():
        result.rows.append([name, str(numbers), str(numbers.over(rival))])
    fair = series["tallyman, 10 at once"].over(rival)
    result.at_least("jobs/s at 10, times procrastinate at 10,", fair.median, TARGET)
    result.notes.append(
        f"{JOBS} jobs a round wait in the table before the clock starts. Ours: `supervise` with an "
        "executor that does nothing; every job is claimed (attempt and event written), created, "
        "running, exited and ended (execution, tally and event written), from the first claim to "
        f"the last end by the database's clock. procrastinate {version}: async worker, concurrency "
        "10, psycopg pool of 12, warmed up; it fetches, runs and finishes each job (two statements, "
        "and an event by trigger)."
    )
    return result


def _work(host: Any, template: Any, count: int, slots: int) -> float:
    from django.db.models import Max, Min

    from jobs.models import Attempt

    type(host).objects.filter(pk=host.pk).update(max_concurrent_jobs=slots)
    ids = work.submit(host, template, count)
    work.wait_for(ids)
    times = Attempt.objects.filter(job__in=ids).aggregate(first=Min("claimed_at"), last=Max("ended_at"))
    return count / (times["last"] - times["first"]).total_seconds()


def _rival(conninfo: str, concurrency: int) -> float:
    command = [sys.executable, "-m", "bench.rival", conninfo, str(JOBS), str(concurrency)]
    done = subprocess.run(command, cwd=ground.ROOT, capture_output=True, text=True, check=True)
    return float(done.stdout)

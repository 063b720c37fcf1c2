"""(w3) What a probe takes, and a scrape, with 101 hosts and 1,000,000 jobs.

`python -m bench.web_probes COUNT` fills the database of the settings, and lets all hosts be held.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

from bench import ground
from bench.places import sqlite
from bench.rounds import Result, say, short
from tests.support.postgres import PostgresServer

JOBS = 1_000_000
ROUNDS = 40
TARGET_MS = 100.0
# Jobs have been waiting for hours although hosts have room, which is to be told: all has to be looked at.
STATUSES = {"/health/live": 200, "/health/ready": 200, "/health/": 503, "/metrics": 200}
Times = dict[str, list[float]]


def measure(server: PostgresServer) -> Result:
    """One web process on each database."""
    found = {"PostgreSQL": _times({"DATABASE_URL": server.create_database("web_probes")})}
    with sqlite() as place:
        found["SQLite"] = _times(place.environment)
    result = Result("w3", f"Probes at {JOBS:,} jobs", ["median (95 of 100 within), ms", *found])
    for path in STATUSES:
        result.rows.append([path, *(_two(times[path]) for times in found.values())])
    for name, times in found.items():
        worst = max(statistics.median(times[path]) for path in STATUSES)
        result.at_most(f"{name}, slowest, ms,", worst, TARGET_MS)
    result.notes.append(
        f"gunicorn with one worker, over HTTP, asked {ROUNDS} times for each, one after the other; as many "
        "attempts as jobs, 101 hosts with a worker each, 61 templates, 3,000 pending."
    )
    return result


def _two(times: list[float]) -> str:
    return f"{short(statistics.median(times))} ({short(statistics.quantiles(times, n=20)[-1])})"


def _times(environment: dict[str, str]) -> Times:
    from tests.support.web import running_web

    os.environ |= {"ALLOWED_HOSTS": "127.0.0.1", "TALLYMAN_METRICS_PUBLIC": "true"}
    whole = {**os.environ, **environment}
    say(f"  writing {JOBS:,} jobs")
    for command in (["manage.py", "migrate", "--verbosity", "0"], ["-m", "bench.web_probes", str(JOBS)]):
        subprocess.run([sys.executable, *command], cwd=ground.ROOT, env=whole, check=True)
    times: Times = {path: [] for path in STATUSES}
    with running_web(environment["DATABASE_URL"]) as web:
        for _ in range(3 + ROUNDS):
            for path, expected in STATUSES.items():
                began = time.perf_counter()
                status = web.ask(path)
                times[path].append(1000 * (time.perf_counter() - began))
                assert status == expected, (path, status)
    return {path: taken[3:] for path, taken in times.items()}


def main(count: int) -> None:
    """Fill it; every host is online, and has a worker on another machine."""
    import django

    django.setup()
    from datetime import timedelta
    from uuid import uuid4

    from django.utils import timezone

    from bench import many_jobs
    from hosts import installation
    from hosts.models import DockerHost, HostLease, HostState
    from supervisor.models import Role, SupervisorProcess

    many_jobs.fill(count)
    installation.current()
    later, supervisor = timezone.now() + timedelta(hours=1), uuid4()
    DockerHost.objects.update(state=HostState.ONLINE)
    hosts = list(DockerHost.objects.only("pk"))
    for host in hosts:
        lease = {"epoch": 1, "owner": uuid4(), "expires_at": later, "machine": "elsewhere"}
        HostLease.objects.update_or_create(host_id=host.pk, defaults=lease)
    elsewhere = {"supervisor": supervisor, "machine": "elsewhere", "start_ticks": 1, "heartbeat_at": later}
    SupervisorProcess.objects.bulk_create(
        [
            SupervisorProcess(role=Role.MASTER, pid=1, **elsewhere),
            *(
                SupervisorProcess(role=Role.WORKER, pid=number, host_id=host.pk, rss_bytes=1, **elsewhere)
                for number, host in enumerate(hosts, 2)
            ),
        ]
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))

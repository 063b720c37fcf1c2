"""(g) How long it takes from handing in a job to the engine's being asked for its container."""

from __future__ import annotations

import random
import time
from typing import Any

from bench import ground, places, stub
from bench.places import Place
from bench.rounds import Result, Series, say, short
from tests.support.postgres import PostgresServer
from tests.support.waiting import wait_until

HOSTS = 50
JOBS = 60
TARGETS_MS = {"PostgreSQL": 20.0, "SQLite": 150.0}
_SETTLE_SECONDS = 5
_PAUSE_SECONDS = (0.05, 0.35)  # of no fixed length, so that it falls in step with nobody's timer
_READY_SECONDS = 90


def measure(server: PostgresServer) -> Result:
    """One job after the other, each for another of fifty idle hosts, on each database."""
    result = Result(
        "g", "From a job's INSERT to its create call", ["", "p50, ms", "p95, ms", "target p50, ms"]
    )
    with places.each(server) as databases:
        for place in databases:
            series = _seen(place)
            p95 = sorted(series.values)[int(0.95 * len(series.values))]
            target = TARGETS_MS[place.name]
            result.rows.append([place.name, str(series), short(p95), short(target)])
            result.at_most(f"{place.name}: p50, ms,", series.median, target)
    result.notes.append(
        f"`supervise` with {HOSTS} Docker hosts that have nothing to do (stubs that answer); {JOBS} jobs, "
        "one after the other, each pinned to one of them by chance. From before the INSERT to the arrival of "
        "the request for the container, which the stub refuses. In parentheses the quickest and the slowest."
    )
    return result


def _seen(place: Place) -> Series:
    from hosts.models import DockerHost, HostState
    from jobs.models import ContainerTemplate

    hosts = DockerHost.objects.using(place.alias)
    template = ContainerTemplate.objects.using(place.alias).create(
        name="refused", docker_image="none", command="true"
    )
    with stub.answering(HOSTS) as engines:
        made = [
            hosts.create(name=f"quick-{number}", connection_string=url)
            for number, url in enumerate(engines.urls)
        ]
        online = hosts.filter(state=HostState.ONLINE)
        with ground.supervisor(environment=place.environment):
            wait_until(lambda: online.count() == HOSTS, _READY_SECONDS, "every host to be online")
            time.sleep(_SETTLE_SECONDS)
            values = [_once(place, random.choice(made), template, engines) for _ in range(JOBS)]
    say(f"  {place.name}: {short(Series(values).median)} ms")
    return Series(values)


def _once(place: Place, host: Any, template: Any, engines: stub.Stubs) -> float:
    """Milliseconds for one job, that nobody waits behind."""
    from hosts import wakeups
    from jobs.models import ContainerJob
    from jobs.states import ENDED_STATUSES

    time.sleep(random.uniform(*_PAUSE_SECONDS))
    began = time.perf_counter()
    job = ContainerJob.objects.using(place.alias).create(template=template, docker_host=host)
    if place.has_notifications:
        wakeups.notify(host.pk)
    ended = ContainerJob.objects.using(place.alias).filter(pk=job.pk, status__in=ENDED_STATUSES)
    wait_until(ended.exists, 30, "the job to end")
    (asked,) = [at for name, at in engines.asked_at.items() if name.endswith(str(job.pk))]
    return 1000 * (asked - began)

"""(c) What Python's share of the CPU is while twenty containers talk at once."""

from __future__ import annotations

import time
from typing import Any

import psutil

from bench import engine as engines
from bench import ground, work
from bench.rounds import ROUNDS, Result, Series, say, short
from tests.support.postgres import PostgresServer
from tests.support.waiting import wait_until

CONTAINERS = 20
MEGABYTES = 2
PER_MEGABYTES = 40
TARGET = 0.5
_GATHER_SECONDS = 20


def measure(server: PostgresServer) -> Result:
    """CPU of the worker from the moment all twenty begin to talk until all their bytes are stored."""
    from hosts.models import DockerHost
    from jobs.models import ContainerTemplate

    cpu: list[float] = []
    rate: list[float] = []
    with engines.started() as engine:
        host = DockerHost.objects.create(
            name="docker",
            connection_string=engine.url,
            max_concurrent_jobs=CONTAINERS,
            policy={"root": True},
        )
        template = ContainerTemplate.objects.create(name="crowd", docker_image=engines.CHATTY)
        with ground.supervisor() as processes:
            wait_until(processes.workers, timeout_seconds=30, what="a worker")
            (worker,) = processes.workers()
            for number in range(ROUNDS):
                seconds, wire = _round(host, template, worker)
                cpu.append(seconds[0] * PER_MEGABYTES / wire)
                rate.append(wire / seconds[1])
                say(f"  round {number + 1}: {short(cpu[-1])} s per {PER_MEGABYTES} MB")
    result = Result("c", "Twenty chatty containers", ["", ""])
    result.rows = [
        [f"Python's CPU seconds per {PER_MEGABYTES} MB", str(Series(cpu))],
        ["MB/s off the engine", str(Series(rate))],
    ]
    result.at_most(f"Python's CPU seconds per {PER_MEGABYTES} MB", Series(cpu).median, TARGET)
    result.notes.append(
        f"{CONTAINERS} containers begin at one moment to write {MEGABYTES} MB each in lines of "
        f"{engines.LINE_BYTES} bytes. MB are of what the engine sends (139 bytes a line). The "
        "worker's CPU time, of all its threads: reading, parsing, compressing, storing, and ending "
        "the jobs; launching them is not in it."
    )
    return result


def _round(host: Any, template: Any, worker: psutil.Process) -> tuple[tuple[float, float], float]:
    from django.db.models import Sum

    from jobs.models import ContainerJob, LogChunk

    moment = int(time.time()) + _GATHER_SECONDS
    wait = f"while [ $(date +%s) -lt {moment} ]; do sleep 0.2; done"
    ids = work.submit(
        host, template, CONTAINERS, override_command=f"sh -c '{wait}; {engines.chatty(MEGABYTES)}'"
    )
    running = ContainerJob.objects.filter(pk__in=ids, status="running")
    wait_until(
        lambda: running.count() == CONTAINERS, timeout_seconds=_GATHER_SECONDS, what="all of them to run"
    )
    time.sleep(max(0.0, moment - time.time()))
    before, began = sum(worker.cpu_times()[:2]), time.perf_counter()
    work.wait_for(ids)
    seconds = sum(worker.cpu_times()[:2]) - before, time.perf_counter() - began
    wire = LogChunk.objects.filter(attempt__job__in=ids).aggregate(total=Sum("raw_bytes"))["total"] / 1e6
    return seconds, wire

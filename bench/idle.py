"""(f) What fifty workers with nothing to do hold and use: memory, threads, connections, CPU."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psutil

from bench import ground, places, stub
from bench.places import Place
from bench.rounds import Result, Series, say, short
from tests.support.postgres import PostgresServer
from tests.support.waiting import wait_until

HOSTS = 50
USS_TARGET_MIB = 10.0
CPU_TARGET = 3.0
WINDOW_SECONDS = float(os.environ.get("BENCH_IDLE_SECONDS", "60"))
_SETTLE_SECONDS = 15
_READY_SECONDS = 90
_MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """What was seen of one supervisor and its workers."""

    uss: Series
    pss: Series
    pss_of_all: float
    threads: Series
    sessions: int
    sockets: int
    busy: float
    ready: float


def measure(server: PostgresServer) -> Result:
    """One supervisor with fifty hosts on each database, after its workers have settled."""
    with places.each(server) as databases:
        seen = [_seen(place) for place in databases]
    result = Result("f", f"Idle at {HOSTS} hosts", ["", *(place.name for place in databases)])
    result.rows = _rows(seen)
    for place, idle in zip(databases, seen, strict=True):
        result.at_most(f"{place.name}: USS of a worker, MiB,", idle.uss.median, USS_TARGET_MIB)
        result.at_most(f"{place.name}: CPU, % of one core,", idle.busy, CPU_TARGET)
    result.notes.append(
        f"`supervise` with {HOSTS} Docker hosts (stubs that answer and have no containers), "
        f"{_SETTLE_SECONDS} s after the last one came online. CPU: user and system time of the whole tree of "
        f"processes (the database server is none of it) over {WINDOW_SECONDS:g} s."
    )
    return result


def _rows(seen: Sequence[Idle]) -> list[Sequence[str]]:
    def row(name: str, value: Callable[[Idle], Any]) -> Sequence[str]:
        return [name, *(str(value(idle)) for idle in seen)]

    return [
        row("USS of a worker, MiB", lambda idle: idle.uss),
        row("PSS of a worker, MiB", lambda idle: idle.pss),
        row("PSS of all processes, MiB", lambda idle: short(idle.pss_of_all)),
        row("threads of a worker", lambda idle: idle.threads),
        row("PostgreSQL sessions", lambda idle: idle.sessions),
        row("engine connections", lambda idle: idle.sockets),
        row("CPU of all processes, % of one core", lambda idle: short(idle.busy)),
        row("until all hosts were online, s", lambda idle: short(idle.ready)),
    ]


def _seen(place: Place) -> Idle:
    from hosts.models import DockerHost, HostState

    hosts = DockerHost.objects.using(place.alias)
    with stub.answering(HOSTS) as engines:
        for number, url in enumerate(engines.urls):
            hosts.create(name=f"idle-{number}", connection_string=url)
        online = hosts.filter(state=HostState.ONLINE)
        began = time.perf_counter()
        with ground.supervisor(environment=place.environment) as processes:
            wait_until(lambda: online.count() == HOSTS, _READY_SECONDS, "every host to be online")
            ready = time.perf_counter() - began
            say(f"  {place.name}: {HOSTS} hosts online after {short(ready)} s")
            time.sleep(_SETTLE_SECONDS)
            return _settled(processes, place, engines, ready)


def _settled(processes: ground.Processes, place: Place, engines: stub.Stubs, ready: float) -> Idle:
    workers = processes.workers()
    assert len(workers) == HOSTS
    everyone = [psutil.Process(processes.process.pid), *processes.children]
    busy = _busy(everyone)
    memory = {process.pid: process.memory_full_info() for process in everyone}
    mine = [memory[worker.pid] for worker in workers]
    return Idle(
        uss=Series([info.uss / _MIB for info in mine]),
        pss=Series([info.pss / _MIB for info in mine]),
        pss_of_all=sum(info.pss for info in memory.values()) / _MIB,
        threads=Series([worker.num_threads() for worker in workers]),
        sessions=place.sessions(),
        sockets=engines.open,
        busy=busy,
        ready=ready,
    )


def _busy(everyone: Sequence[psutil.Process]) -> float:
    """How much of one core they use together, in percent."""
    before, began = _cpu_seconds(everyone), time.perf_counter()
    time.sleep(WINDOW_SECONDS)
    return 100 * (_cpu_seconds(everyone) - before) / (time.perf_counter() - began)


def _cpu_seconds(everyone: Sequence[psutil.Process]) -> float:
    """Of the processes by name: none of them may end meanwhile."""
    return sum(sum(process.cpu_times()[:2]) for process in everyone)

"""(f) What fifty workers with nothing to do hold: memory, and connections."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil

from bench import ground, stub
from bench.rounds import Result, Series, say, short
from tests.support.postgres import PostgresServer
from tests.support.waiting import wait_until

HOSTS = 50
_SETTLE_SECONDS = 20
_MIB = 2**20


def measure(server: PostgresServer) -> Result:
    """One supervisor with fifty hosts, after its workers have settled."""
    from django.db import connection

    from hosts.models import DockerHost, HostState

    with stub.answering(HOSTS) as engines:
        for number, url in enumerate(engines.urls):
            DockerHost.objects.create(name=f"idle-{number}", connection_string=url)
        online = DockerHost.objects.filter(state=HostState.ONLINE)
        with ground.supervisor() as processes:
            began = time.perf_counter()
            wait_until(lambda: online.count() == HOSTS, timeout_seconds=90, what="every host to be online")
            ready = time.perf_counter() - began
            say(f"  {HOSTS} hosts online after {short(ready)} s")
            time.sleep(_SETTLE_SECONDS)
            workers = processes.workers()
            assert len(workers) == HOSTS
            everyone = [psutil.Process(processes.process.pid), *processes.children]
            memory = {process.pid: process.memory_full_info() for process in everyone}
            before = sum(sum(process.cpu_times()[:2]) for process in everyone)
            began = time.perf_counter()
            time.sleep(_SETTLE_SECONDS)
            after = sum(sum(process.cpu_times()[:2]) for process in everyone)
            busy = 100 * (after - before) / (time.perf_counter() - began)
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' "
                    "AND datname = current_database() AND pid <> pg_backend_pid()"
                )
                sessions = cursor.fetchone()[0]
            sockets = engines.open
    mine = [memory[worker.pid] for worker in workers]

    def mib(values: Callable[[object], int]) -> Series:
        return Series([values(info) / _MIB for info in mine])

    result = Result("f", f"Idle at {HOSTS} hosts", ["", ""])
    result.rows = [
        ["USS of a worker, MiB", str(mib(lambda info: info.uss))],
        ["PSS of a worker, MiB", str(mib(lambda info: info.pss))],
        ["PSS of all processes, MiB", short(sum(info.pss for info in memory.values()) / _MIB)],
        ["processes", str(len(everyone))],
        ["PostgreSQL sessions", str(sessions)],
        ["engine connections", str(sockets)],
        ["CPU of all processes, % of one core", short(busy)],
        ["until all hosts were online, s", short(ready)],
    ]
    result.notes.append(
        f"`supervise` with {HOSTS} Docker hosts (stubs that answer and have no containers), "
        f"{_SETTLE_SECONDS} s after the last one came online; CPU over as long again. The issue sets "
        "no target here."
    )
    return result

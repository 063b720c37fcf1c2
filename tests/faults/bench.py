"""Hosts and databases behind taps, and the jobs that report their runs."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now

from hosts.identity import start_ticks
from hosts.models import DockerHost, HostLease, HostState
from jobs import logs, operations
from jobs.models import Attempt, ContainerJob, ContainerTemplate, NetworkAssignment
from tests.faults.counting import COUNTED, RunCounter
from tests.support.engines import Engine
from tests.support.supervising import StartCounter
from tests.support.taps import DatabaseTap, EngineTap
from tests.support.waiting import wait_until


class Bench:
    """One host behind an engine tap, a database behind another, and what really ran."""

    def __init__(self, engine: Engine, engine_tap: EngineTap, database_tap: DatabaseTap) -> None:
        self.engine, self.engine_tap, self.database_tap = engine, engine_tap, database_tap
        settings = connection.settings_dict
        self.database_url = database_tap.url(settings["USER"], settings["NAME"])
        self.host = DockerHost.objects.create(
            name="a",
            connection_string=engine_tap.url,
            executor_config={"timeout": 10},
            policy=COUNTED,
        )
        self.template = make_template("t")
        self.counter = RunCounter()
        self.starts = StartCounter(engine)

    def submit(self, script: str, template: ContainerTemplate | None = None, **fields: Any) -> ContainerJob:
        """A job that reports its run, then runs the script."""
        report = f'echo "$TALLYMAN_JOB_ID $TALLYMAN_ATTEMPT" | nc 127.0.0.1 {self.counter.port}; '
        command = f"sh -c {shlex.quote(report + script)}"
        return operations.submit(template or self.template, command=command, **fields)

    def tap(self, on: str) -> EngineTap | DatabaseTap:
        """The tap that a step is seen on."""
        return self.engine_tap if on == "engine" else self.database_tap

    def holder(self) -> int:
        """The pid of the worker that holds the host, once it does and has seen the engine."""

        def pid() -> int | None:
            online = DockerHost.objects.filter(pk=self.host.pk, state=HostState.ONLINE).exists()
            lease = HostLease.objects.filter(host=self.host, released_at=None, owner__isnull=False).first()
            alive = lease is not None and is_alive(lease.pid)
            return lease.pid if online and alive and lease else None

        return wait_until(pid, timeout_seconds=20, what="a worker to hold the host")

    def runs_of(self, job: ContainerJob) -> tuple[Counter[str], Counter[str]]:
        """How often each attempt was started by the engine's count, and ran by the containers' own."""
        return (
            Counter({number: n for (id_, number), n in self.starts.starts.items() if id_ == str(job.id)}),
            Counter({number: n for (id_, number), n in self.counter.runs.items() if id_ == str(job.id)}),
        )

    def wait_until_empty(self, timeout_seconds: float = 40.0) -> None:
        """Until no container is left on the engine."""
        wait_until(
            lambda: not self.engine.api.containers(all=True), timeout_seconds, "no container to be left"
        )


@pytest.fixture
def bench(two_engines: tuple[Engine, Engine], transactional_db: None) -> Iterator[Bench]:
    engine = two_engines[0]
    with (
        EngineTap(engine.url.removeprefix("unix://")) as engine_tap,
        DatabaseTap(connection.settings_dict["HOST"]) as database_tap,
    ):
        made = Bench(engine, engine_tap, database_tap)
        with made.counter:
            yield made
        made.starts.close()


def make_template(name: str, **fields: Any) -> ContainerTemplate:
    """A template whose containers can reach the counter."""
    template = ContainerTemplate.objects.create(
        name=name,
        **{"docker_image": "busybox:latest", "stop_grace_seconds": 1, "timeout_seconds": 60, **fields},
    )
    NetworkAssignment.objects.create(template=template, network_name="host")
    return template


def is_alive(pid: int | None) -> bool:
    """Whether there is such a process, and no zombie of it."""
    return pid is not None and start_ticks(pid) is not None


def expire_lease(host: DockerHost) -> int:
    """Let the host's lease run out now; its epoch."""
    HostLease.objects.filter(host=host).update(expires_at=Now() - timedelta(seconds=1))
    return HostLease.objects.get(host=host).epoch


def log_of(job: ContainerJob) -> list[tuple[bytes, bytes]]:
    """(stdout, stderr) of each attempt that has a log."""
    return [
        (b"".join(logs.stream_bytes(one.id, 1)), b"".join(logs.stream_bytes(one.id, 2)))
        for one in Attempt.objects.filter(job=job).order_by("number")
    ]

"""Three real engines: one is paused, one full, one drained; jobs go where they may, and the rest says why."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hosts import operations as host_operations
from hosts.models import DockerHost, HostState
from jobs import operations
from jobs.explain import explain
from jobs.models import ConcurrencyLimit, ContainerJob, ContainerTemplate
from tests.support import supervising
from tests.support.engines import Engine, running_engine
from tests.support.supervising import wait_for_status, wait_for_workers
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.docker,
    pytest.mark.process,
    pytest.mark.postgres_only,
    pytest.mark.django_db(transaction=True),
]

LONG = "sleep 300"


@pytest.fixture
def engines(two_engines: tuple[Engine, Engine]) -> Iterator[tuple[Engine, Engine, Engine]]:
    with running_engine() as third:
        yield (*two_engines, third)


@pytest.fixture
def hosts(engines: tuple[Engine, ...], transactional_db: None) -> list[DockerHost]:
    """`heavy`, `middle` and `light`, by their weight; `heavy` and `light` have labels."""
    settings = [
        ("heavy", 300, 2, {"zone": "eu"}),
        ("middle", 200, 1, {}),
        ("light", 100, 5, {"zone": "us", "disk": "fast"}),
    ]
    return [
        DockerHost.objects.create(
            name=name,
            connection_string=engine.url,
            weight=weight,
            max_concurrent_jobs=slots,
            labels=labels,
            executor_config={"timeout": 1},
            policy={"root": True},
        )
        for engine, (name, weight, slots, labels) in zip(engines, settings, strict=True)
    ]


@pytest.fixture
def template(transactional_db: None) -> ContainerTemplate:
    return make_template("t")


def make_template(name: str, **fields: object) -> ContainerTemplate:
    return ContainerTemplate.objects.create(
        name=name, docker_image="busybox:latest", command="true", stop_grace_seconds=0, **fields
    )


def host_of(job: ContainerJob, *statuses: str) -> str:
    """Where it runs, or ran."""
    wait_for_status(job, *(statuses or ("running", "completed")))
    return job.attempts.get().host_name


def waits_because(job: ContainerJob, *words: str) -> None:
    def told() -> bool:
        job.refresh_from_db()
        return all(word in job.pending_reason for word in words)

    wait_until(told, timeout_seconds=15, what=f"the reason {words}")
    assert job.status == "pending"


def becomes(host: DockerHost, state: HostState) -> None:
    seen = DockerHost.objects.filter(pk=host.pk, state=state)
    wait_until(seen.exists, timeout_seconds=25, what=f"{host} to be {state}")


def test_jobs_fail_over_from_host_to_host_and_come_back(
    engines: tuple[Engine, ...], hosts: list[DockerHost], template: ContainerTemplate, database_url: str
) -> None:
    heavy, middle, light = hosts
    with supervising.running("supervise", "--poll-interval", "1", database_url=database_url):
        wait_for_workers(3)
        for host in hosts:
            becomes(host, HostState.ONLINE)
        assert host_of(operations.submit(template)) == "heavy", "the heaviest"
        labelled = make_template("labelled", required_labels={"disk": "fast"})
        assert host_of(operations.submit(labelled)) == "light", "the only one with the label"
        prefers = make_template("prefers", preferred_labels={"zone": ["us", "uk"]})
        assert host_of(operations.submit(prefers)) == "light", "a preference goes before weight"
        pinned = operations.submit(template, host=middle, command=LONG)
        assert host_of(pinned, "running") == "middle"
        limited_to_one(make_template("limited", limit_key="db"))

        # One paused, one full, one drained.
        engines[0].pause()
        becomes(heavy, HostState.UNREACHABLE)
        over_middle = operations.submit(template, command=LONG)
        assert host_of(over_middle, "running") == "light", "middle is full"
        host_operations.drain(light.pk)
        waiting = operations.submit(template)
        waits_because(
            waiting, "heavy: is unreachable", "middle: is full (1 of 1 slots)", "light: is draining"
        )
        why = {one.host: one.why_not for one in explain(waiting).hosts}
        assert [name for name in why if why[name]] == [*why]
        lonely = operations.submit(make_template("mars", required_labels={"zone": "mars"}))
        waits_because(lonely, "heavy, middle, light: lacks the label zone=mars")

        # Each of them comes back.
        operations.cancel(pinned.pk, who="test", force=True)
        assert host_of(waiting) == "middle"
        engines[0].resume()
        becomes(heavy, HostState.ONLINE)
        assert host_of(operations.submit(template)) == "heavy", "it gets new work again"
        host_operations.activate(light.pk)
        DockerHost.objects.filter(pk=light.pk).update(labels={"zone": "mars"})
        assert host_of(lonely) == "light"
        operations.cancel(over_middle.pk, who="test", force=True)
        wait_for_status(over_middle, "cancelled")


def limited_to_one(template: ContainerTemplate) -> None:
    """A limit of one holds over three hosts, and the next job follows at once."""
    ConcurrencyLimit.objects.create(key="db", max_concurrent=1)
    jobs = [operations.submit(template, command=LONG) for _ in range(2)]
    running = ContainerJob.objects.filter(pk__in=[job.pk for job in jobs], status="running")
    wait_until(running.exists, timeout_seconds=15, what="one of them to run")
    second = ContainerJob.objects.exclude(pk=running.get().pk).get(pk__in=[job.pk for job in jobs])
    waits_because(second, "The limit db is reached (1 of 1 at once)")
    operations.cancel(running.get().pk, who="test", force=True)
    wait_for_status(second, "running", timeout_seconds=10)
    operations.cancel(second.pk, who="test", force=True)
    wait_for_status(second, "cancelled")

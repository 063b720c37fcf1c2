"""Pulls of real images by a real engine: shared, bounded, seen in the row, and in nobody's way."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from hosts import operations as host_operations
from hosts.models import DockerHost
from jobs import operations
from jobs.models import Attempt, ContainerJob, ContainerTemplate
from jobs.models.template import PullPolicy
from tests.supervisor.working import AnyEngine
from tests.support import supervising
from tests.support.registry import Registry
from tests.support.supervising import Command, wait_for_status
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.docker,
    pytest.mark.process,
    pytest.mark.postgres_only,
    pytest.mark.django_db(transaction=True),
]
WORKER = ("process_container_jobs", "--poll-interval", "0.2")


@pytest.fixture
def registry(engine: AnyEngine) -> Iterator[Registry]:
    """Without a login; what was pulled from it is gone from the engine when the test ends."""
    with Registry() as registry:
        yield registry
        remove_images(engine, registry)


@pytest.fixture
def private_registry(engine: AnyEngine) -> Iterator[Registry]:
    with Registry(login=("user", "secret")) as registry:
        yield registry
        remove_images(engine, registry)


@pytest.fixture
def worker(host: DockerHost, database_url: str) -> Iterator[Command]:
    """Works for the host all through the test."""
    with supervising.running(*WORKER, database_url=database_url) as command:
        yield command


def remove_images(engine: AnyEngine, registry: Registry) -> None:
    for container in engine.api.containers(all=True):
        engine.api.remove_container(container["Id"], force=True)
    for image in engine.api.images():
        for tag in image["RepoTags"] or ():
            if tag.startswith(registry.address):
                engine.api.remove_image(tag, force=True)


def submit(registry: Registry, image: str, *, policy: str = "if-not-present", **fields: Any) -> ContainerJob:
    template, _ = ContainerTemplate.objects.get_or_create(
        name=f"{image} {policy}",
        defaults={
            "docker_image": f"{registry.address}/{image}/image:v1",
            "command": "sh -c 'echo $VERSION'",
            "pull_policy": policy,
            "infra_retries": 0,
        },
    )
    return operations.submit(template, **fields)


def phase_of(job: ContainerJob) -> str:
    return Attempt.objects.filter(job=job).values_list("phase", flat=True).first() or ""


def wait_for_phase(job: ContainerJob, words: str) -> None:
    wait_until(lambda: words in phase_of(job), timeout_seconds=15, what=f"{words!r} in the phase of {job}")


def end_of(job: ContainerJob) -> tuple[str, str]:
    ended = wait_for_status(job, "completed", "failed", "cancelled")
    return ended.status, ended.failure_class


def cancel(job: ContainerJob) -> None:
    began = time.monotonic()
    operations.cancel(job.pk, who="test")
    wait_for_status(job, "cancelled")
    assert time.monotonic() - began < 3


def test_jobs_of_one_image_share_one_pull_and_stand_in_nobodys_way(
    registry: Registry, worker: Command, template: ContainerTemplate
) -> None:
    first, second, third = (submit(registry, "held", name=name) for name in ("first", "second", "third"))
    for job in (first, second, third):
        wait_for_status(job, "starting")
    wait_until(lambda: all(map(phase_of, (first, second, third))), timeout_seconds=15, what="all phases")
    phases = sorted(phase_of(job).split(" ")[0] for job in (first, second, third))
    assert phases == ["Pulling", "Waiting", "Waiting"]
    others = [submit(registry, name) for name in ("stuck", "held/also")]
    wait_for_phase(others[1], "2 other images are being pulled")
    # Every thread for pulls is taken, and an image that is there needs none of them.
    began = time.monotonic()
    assert end_of(operations.submit(template)) == ("completed", "")
    assert time.monotonic() - began < 5
    cancel(first)
    cancel(others[0])
    wait_for_phase(others[1], "1 of 2 layers")
    registry.let_go.set()
    assert {end_of(job) for job in (second, third, others[1])} == {("completed", "")}
    assert registry.asked["held/image"] == 1
    assert not Attempt.objects.exclude(phase="").exists()


def test_how_far_a_pull_is_stands_in_the_row_and_its_last_cancel_ends_it(
    registry: Registry, worker: Command
) -> None:
    job = submit(registry, "held")
    wait_for_phase(job, f"Pulling {registry.address}/held/image:v1: 1 of 2 layers, ")
    cancel(job)
    assert Attempt.objects.get().outcome == "cancelled"
    # A job that comes before joins the pull.
    wait_until(lambda: "pull given up" in worker.log, timeout_seconds=10, what="the pull to end")
    again = submit(registry, "held")
    wait_until(lambda: registry.asked["held/image"] == 2, timeout_seconds=10, what="a new pull")
    registry.let_go.set()
    assert end_of(again) == ("completed", "")


def test_a_worker_that_is_told_to_go_leaves_its_pull_to_the_next_one(
    registry: Registry, host: DockerHost, database_url: str
) -> None:
    job = submit(registry, "held", policy="always")
    with supervising.running(*WORKER, database_url=database_url) as command:
        wait_for_phase(job, "Pulling")
        command.signal(signal.SIGTERM)
        began = time.monotonic()
        assert command.process.wait(6) == 0
        assert time.monotonic() - began < 4
    registry.let_go.set()
    with supervising.running(*WORKER, database_url=database_url):
        assert end_of(job) == ("completed", "")
    assert (job.attempts.count(), job.execution.stdout) == (1, "1\n")


def test_the_pull_policy_says_which_image_runs(registry: Registry, worker: Command) -> None:
    never = submit(registry, "some", policy=PullPolicy.NEVER)
    assert end_of(never) == ("failed", "image_missing")
    assert "if-not-present" in never.failure_hint
    seen = []
    for version, policy in ((1, "always"), (2, "if-not-present"), (2, "never"), (2, "always")):
        registry.version = version
        job = submit(registry, "some", policy=policy)
        assert end_of(job) == ("completed", "")
        seen.append(job.execution.stdout)
    assert seen == ["1\n", "1\n", "1\n", "2\n"]
    assert registry.asked["some/image"] == 2


def test_what_a_registry_does_to_a_pull_is_said_in_one_word_and_never_a_stale_image(
    registry: Registry, engine: AnyEngine, host: DockerHost, database_url: str
) -> None:
    limits = {"pull_connect_timeout": 3, "pull_idle_timeout": 2, "pull_total_timeout": 4}
    DockerHost.objects.update(executor_config=limits)
    for name in ("busy", "mute"):
        engine.api.tag("busybox:latest", f"{registry.address}/{name}/image", "v1")
    jobs = {name: submit(registry, name, policy="always") for name in ("busy", "mute")}
    jobs |= {name: submit(registry, name) for name in ("stuck", "slow", "denied")}
    twin = submit(registry, "stuck", name="twin")
    with supervising.running(*WORKER, database_url=database_url):
        ends = {name: end_of(job)[1] for name, job in jobs.items()}
        assert end_of(twin) == ("failed", "image_pull")
    assert ends == {
        "busy": "rate_limited",
        "mute": "registry_unreachable",
        "stuck": "image_pull",
        "slow": "image_pull",
        "denied": "image_denied",
    }
    assert "pull_idle_timeout" in twin.failure_hint
    assert "took longer than 4 s" in jobs["slow"].failure_message
    assert Attempt.objects.filter(outcome="infra").count() == 5


def test_a_login_set_for_the_host_is_used_by_the_next_pull(
    private_registry: Registry, host: DockerHost, worker: Command
) -> None:
    job = submit(private_registry, "some")
    assert end_of(job) == ("failed", "image_denied")
    assert f"registry-login docker {private_registry.address}" in job.failure_hint
    login = {"username": "user", "password": "secret"}
    host_operations.set_registry_login(host.pk, private_registry.address, **login)
    operations.retry(job.pk, who="test")
    wait_until(lambda: end_of(job)[0] == "completed", timeout_seconds=15, what="the pull with a login")
    assert "secret" not in worker.log

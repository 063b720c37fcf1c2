"""A machine that was suspended wakes up with a lease that may be somebody else's: it asks before it acts."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.db.models.functions import Now

from hosts import identity, leases
from hosts.errors import DockerConnectionError
from hosts.executors.registry import executor_for
from hosts.models import DockerHost, HostLease
from jobs import claims
from jobs.models import Attempt
from jobs.states import AttemptState
from supervisor.worker import host as worker_host
from supervisor.worker import loop as worker_loop
from supervisor.worker import steps
from supervisor.worker.host import HostWorker
from supervisor.worker.inbox import Wake
from supervisor.worker.settings import WorkerSettings
from supervisor.worker.steps import Hands
from tests.jobs.attempts import take
from tests.support.containers import script
from tests.support.factories import make_job
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

AN_HOUR = 3600.0


class BootClock:
    """The boot clock, which goes on while the machine is suspended."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return identity.boot_clock() + self.ahead


@pytest.fixture
def here(tmp_path: Path) -> DockerHost:
    config = {"root": str(tmp_path / "jobs")}
    return DockerHost.objects.create(name="here", executor_type="process", executor_config=config)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> BootClock:
    clock = BootClock()
    for module in (worker_host, worker_loop):
        monkeypatch.setattr(module, "boot_clock", clock)
    return clock


@pytest.fixture
def worker(here: DockerHost, clock: BootClock) -> Iterator[HostWorker]:
    """A worker that holds the host, with one job running."""
    wake = Wake()
    settings = WorkerSettings(installation=uuid.uuid4(), identity=identity.current(), who="test")
    worker = HostWorker(here, settings, wake, lambda: None)
    job = make_job(override_command="sleep 60")
    worker.turn()
    assert worker.lease is not None
    worker.lease.clock = clock

    def runs() -> bool:
        worker.turn()
        return Attempt.objects.filter(job=job, state=AttemptState.RUNNING).exists()

    wait_until(runs, timeout_seconds=20, what="the job to run")
    containers = [run.container_id for run in worker.runs.values()]
    yield worker
    for container_id in containers:
        executor_for(here.view(settings.installation)).signal(container_id, "KILL")
    worker.detach(clock() + 1)
    wake.close()


def test_nothing_is_made_started_signalled_or_removed_until_a_renewal_is_accepted(
    here: DockerHost, clock: BootClock
) -> None:
    lease = take(here)
    lease.clock = clock
    leases.renew(lease)
    executor = executor_for(here.view(uuid.uuid4()))
    hands = Hands(executor, lease)
    made = steps.ensure(hands, script("sleep 60"))
    clock.ahead = AN_HOUR
    for act in (
        lambda: steps.ensure(hands, script("sleep 60")),
        lambda: steps.start(hands, made.container_id),
        lambda: steps.send_signal(hands, made.container_id, "KILL"),
        lambda: steps.discard(hands, made.container_id),
        lambda: steps.clear(hands, made.container_id),
    ):
        with pytest.raises(DockerConnectionError, match="not trusted"):
            act()
    assert [seen.state for seen in executor.list_containers()] == ["created"]
    leases.renew(lease)
    assert steps.discard(hands, made.container_id) is None
    assert executor.list_containers() == []


def test_who_wakes_up_and_still_holds_the_host_renews_first_and_goes_on(
    worker: HostWorker, clock: BootClock
) -> None:
    assert worker.lease is not None
    HostLease.objects.update(expires_at=Now() - timedelta(hours=1))
    clock.ahead = AN_HOUR / 60 / 2  # longer than the lease, shorter than the job's timeout
    assert not worker.lease.is_trusted()
    worker.turn()
    assert worker.lease.is_trusted()
    assert len(worker.runs) == 1
    assert HostLease.objects.filter(expires_at__gt=Now(), epoch=1).exists()


def test_who_wakes_up_and_lost_the_host_lets_go_and_touches_nothing(
    worker: HostWorker, clock: BootClock
) -> None:
    lease = worker.lease
    assert lease is not None
    HostLease.objects.update(expires_at=Now() - timedelta(hours=1))
    rival = claims.take_host(worker.host.id, who=identity.current())
    before = list(Attempt.objects.values())
    clock.ahead = AN_HOUR
    worker.turn()
    assert (worker.lease, worker.runs, worker.is_displaced) == (None, {}, True)
    assert not lease.is_trusted()
    assert list(Attempt.objects.values()) == before
    assert rival is not None
    assert HostLease.objects.get().epoch == rival.epoch

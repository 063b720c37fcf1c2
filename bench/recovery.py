"""(d) How soon somebody looks after the containers again when a worker, or everything, was killed."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from bench import ground, work
from bench.rounds import ROUNDS, Result, Series, say, short
from hosts.leases import TTL_SECONDS
from tests.support.postgres import PostgresServer
from tests.support.waiting import wait_until

PROVED = 2.0
AFTER_LEASE = TTL_SECONDS + 5.0
_ELSEWHERE = 5


def measure(server: PostgresServer) -> Result:
    """A worker, then everything, in turn; then everything, with owners that nobody can prove dead."""
    folder = tempfile.mkdtemp(prefix="tallyman-bench-")
    try:
        worker, everything, expired = _measured(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    result = Result("d", "Recovery after kill -9", ["killed", "seconds", "target"])
    result.rows = [
        ["a worker", str(worker), f"{PROVED:g}"],
        ["master, clerk and worker, then started again", str(everything), f"{PROVED:g}"],
        ["everything, its owner not proved dead", str(expired), f"{AFTER_LEASE:g}"],
    ]
    result.at_most("a worker: seconds", worker.median, PROVED)
    result.at_most("everything: seconds", everything.median, PROVED)
    result.at_most("owner not proved dead: seconds", max(expired.values), AFTER_LEASE)
    result.notes.append(
        "From the kill until the running attempt is restamped by a new owner and a job handed in at "
        "the kill is claimed. Where everything was killed, the supervisor is started again at once, "
        "and its start counts. An owner is not proved dead if it was on another machine, as the "
        "lease's row is made to say here; then the old lease has to run out."
    )
    return result


def _measured(folder: str) -> tuple[Series, Series, Series]:
    from hosts.models import DockerHost
    from jobs.models import ContainerTemplate

    hosts = [
        DockerHost.objects.create(
            name=f"here-{number}", executor_type="process", executor_config={"root": f"{folder}/{number}"}
        )
        for number in range(_ELSEWHERE)
    ]
    template = ContainerTemplate.objects.create(
        name="long", docker_image="none", command="sleep 600", timeout_seconds=900, stop_grace_seconds=0
    )
    for host in hosts[1:]:
        DockerHost.objects.filter(pk=host.pk).update(is_active=False)
    worker, everything = _proved(hosts[0], template)
    DockerHost.objects.update(is_active=True)
    expired = _expired(hosts, template)
    with ground.supervisor():
        _cancel_all()
    return worker, everything, expired


def _proved(host: Any, template: Any) -> tuple[Series, Series]:
    workers: list[float] = []
    all_of_it: list[float] = []
    (job,) = work.submit(host, template, 1)
    supervisors = [ground.Processes("manage.py", "supervise")]
    try:
        for number in range(ROUNDS):
            _wait_running(job)
            workers.append(_until_recovered(host, template, job, partial(_kill_worker, supervisors)))
            all_of_it.append(_until_recovered(host, template, job, partial(_again, supervisors)))
            say(f"  round {number + 1}: worker {short(workers[-1])}, everything {short(all_of_it[-1])}")
    finally:
        supervisors[-1].end()
    return Series(workers), Series(all_of_it)


def _kill_worker(supervisors: list[ground.Processes]) -> None:
    for worker in supervisors[-1].workers():
        worker.kill()


def _again(supervisors: list[ground.Processes]) -> None:
    supervisors[-1].kill()
    supervisors[-1].end()
    supervisors.append(ground.Processes("manage.py", "supervise"))


def _until_recovered(host: Any, template: Any, job: Any, kill: Callable[[], object]) -> float:
    from jobs.models import Attempt

    epoch = Attempt.objects.get(job=job).epoch
    began = time.perf_counter()
    kill()
    new = work.submit(host, template, 1, override_command="true")
    wait_until(
        lambda: (
            Attempt.objects.filter(job=job, epoch__gt=epoch).exists()
            and Attempt.objects.filter(job__in=new).exists()
        ),
        timeout_seconds=90,
        what="recovery",
    )
    seconds = time.perf_counter() - began
    work.wait_for(new)
    return seconds


def _expired(hosts: list[Any], template: Any) -> Series:
    from hosts.models import HostLease
    from jobs.models import Attempt

    new = [work.submit(host, template, 1)[0] for host in hosts[1:]]
    processes = ground.Processes("manage.py", "supervise")
    try:
        for job in new:
            _wait_running(job)
    finally:
        processes.kill()
    began = time.perf_counter()
    processes.end()
    HostLease.objects.update(machine="another one")
    epochs = dict(Attempt.objects.open().values_list("pk", "epoch"))
    seconds: dict[Any, float] = {}

    def all_taken() -> bool:
        for key, epoch in Attempt.objects.open().values_list("pk", "epoch"):
            if epoch > epochs[key]:
                seconds.setdefault(key, time.perf_counter() - began)
        return len(seconds) == len(epochs)

    with ground.supervisor():
        wait_until(all_taken, timeout_seconds=2 * AFTER_LEASE, what="every host to be taken")
    return Series(list(seconds.values()))


def _wait_running(job: Any) -> None:
    from jobs.models import ContainerJob

    running = ContainerJob.objects.filter(pk=job, status="running")
    wait_until(running.exists, timeout_seconds=90, what="the job to run")


def _cancel_all() -> None:
    from jobs import operations
    from jobs.models import ContainerJob

    for job in ContainerJob.objects.open():
        operations.cancel(job.pk, who="bench", force=True)
    wait_until(
        lambda: not ContainerJob.objects.open().exists(), timeout_seconds=60, what="every job to be cancelled"
    )

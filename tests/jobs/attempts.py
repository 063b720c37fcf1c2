"""Attempts in any state, and the rows that moves of them are asked for with."""

from __future__ import annotations

import uuid
from typing import Any

from django.apps import apps

from hosts import identity
from hosts.leases import Lease
from hosts.models import DockerHost
from jobs import claims, moves, spec
from jobs.models import Attempt, ContainerJob
from jobs.states import OPEN_STATES, AttemptState, Outcome, status_while
from tests.support.factories import make_host, make_job

INSTALLATION = uuid.UUID("01890000-0000-7000-8000-000000000001")
WHO = "worker-a"


def make_attempt(
    state: AttemptState = AttemptState.CLAIMED,
    *,
    job: ContainerJob | None = None,
    host: DockerHost | None = None,
    epoch: int = 7,
    **fields: Any,
) -> Attempt:
    """An attempt in any state, and its job in the status that follows; an ended one needs an `outcome`."""
    job = job or make_job()
    host = host or DockerHost.objects.first() or make_host()
    number = job.attempt_count + 1
    status = status_while(state) if state in OPEN_STATES else job.status
    ContainerJob.objects.filter(pk=job.pk).update(status=status, attempt_count=number)
    job.refresh_from_db()
    return Attempt.objects.create(
        job=job,
        number=number,
        host=host,
        host_name=host.name,
        epoch=epoch,
        state=state,
        spec=spec.freeze(job, job.template, [], []),
        container_name=spec.container_name(INSTALLATION, job.id),
        **fields,
    )


def take(host: DockerHost) -> Lease:
    """The lease of a host that nobody holds."""
    lease = claims.take_host(host.id, who=identity.current())
    assert lease is not None
    return lease


def claim(
    lease: Lease, host: DockerHost, room: int = 10, *, stand_back: bool = False, oldest_first: bool = False
) -> list[Attempt]:
    """What a worker claims."""
    wanted = claims.Wanted(room=room, stand_back=lambda: stand_back, oldest_first=oldest_first)
    return claims.claim(lease, host, wanted, installation=INSTALLATION, who=WHO)


def row(attempt: Attempt, **fields: Any) -> dict[str, Any]:
    """The row of a move, with everything that any move but the end asks for."""
    return {
        "attempt_id": attempt.id,
        "job_id": attempt.job_id,
        "number": attempt.number,
        "epoch": attempt.epoch,
        "who": WHO,
        "message": "",
        "container_id": "c1",
        "discarding_id": "",
        "image_digest": "",
        "executor_metadata": {},
        "timeout_seconds": 60.0,
        "stop_reason": "cancelled",
        "asked_at": None,
        "exit_code": 0,
        "oom_killed": False,
        "started_at": None,
        "finished_at": None,
        **fields,
    }


_MEASURES = (
    "peak_memory_bytes",
    "average_memory_bytes",
    "cpu_seconds",
    "network_rx_bytes",
    "network_tx_bytes",
    "block_read_bytes",
    "block_write_bytes",
    "peak_pids",
)


def end_row(attempt: Attempt, outcome: Outcome = Outcome.SUCCEEDED, **fields: Any) -> dict[str, Any]:
    """The row of an end; `job_status` is `completed` unless told otherwise."""
    return {
        **row(attempt),
        "outcome": outcome,
        "host_name": attempt.host_name,
        "template_name": attempt.job.template.name,
        "failure_class": "",
        "failure_message": "",
        "failure_hint": "",
        "logs_complete": True,
        "logs_note": "",
        "stdout": "",
        "stderr": "",
        "docker_log": "",
        "stdout_bytes": 0,
        "stderr_bytes": 0,
        **dict.fromkeys(_MEASURES),
        "job_status": "completed",
        "retry_delay_seconds": None,
        "run_seconds": 0.5,
        "infra_failures": 0,
        **fields,
    }


def end(attempt: Attempt, outcome: Outcome = Outcome.SUCCEEDED, **fields: Any) -> bool:
    """End one attempt; whether the end was written."""
    return attempt.id in moves.end([end_row(attempt, outcome, **fields)])


def everything() -> dict[str, list[dict[str, Any]]]:
    """Every row of the layer, to show that nothing was written."""
    models = apps.get_app_config("jobs").get_models()
    return {model.__name__: list(model.objects.order_by("pk").values()) for model in models}

"""Runs in any state, what engines show of them, and the answers to their steps. No database."""

from __future__ import annotations

import uuid
from typing import Any

from hosts.errors import DockerConnectionError
from hosts.executors.contract import LABEL_PREFIX, ContainerState, Observation
from jobs import spec
from jobs.states import AttemptState
from supervisor.worker import progress
from supervisor.worker.run import Run
from supervisor.worker.steps import StepDone

INSTALLATION = uuid.UUID("01890000-0000-7000-8000-000000000001")
NOW = 1000.0
AWAY = DockerConnectionError("the engine did not answer")
_SPEC = {
    "docker_image": "busybox:latest",
    "memory_limit": 64,
    "timeout_seconds": 60,
    "stop_grace_seconds": 10,
    "max_attempts": 1,
    "retry_on": [],
    "template_name": "t",
}


def make_run(state: AttemptState = AttemptState.CLAIMED, *, number: int = 1, **fields: Any) -> Run:
    """A run as a claim makes it; `fields` say what else is known of it."""
    job_id = uuid.uuid4()
    values = {"container_name": f"tallyman-{job_id}", "spec": spec.complete(_SPEC), **fields}
    return Run(
        attempt_id=uuid.uuid4(), job_id=job_id, number=number, epoch=3, state=AttemptState(state), **values
    )


def observation(run: Run, state: ContainerState = "running", **fields: Any) -> Observation:
    """The run's container as its engine shows it; `labels` replaces some of ours."""
    labels = {"installation": str(INSTALLATION), "job": str(run.job_id), "attempt": str(run.number)}
    labels |= fields.pop("labels", {})
    values = {
        "container_id": "c1",
        "name": run.container_name,
        "image_digest": "sha256:1",
        "metadata": {"ip": "10.0.0.1"},
        **fields,
    }
    return Observation(
        state=state, labels={LABEL_PREFIX + key: value for key, value in labels.items()}, **values
    )


def answer(run: Run, step: str, result: object = None, *, now: float = NOW) -> None:
    """The step that was in flight is done."""
    run.busy = True
    progress.apply(run, StepDone(run.attempt_id, step, result=result), installation=INSTALLATION, now=now)


def fail(run: Run, step: str, error: Exception = AWAY, *, now: float = NOW) -> None:
    """The step that was in flight raised."""
    run.busy = True
    progress.apply(run, StepDone(run.attempt_id, step, error=error), installation=INSTALLATION, now=now)


def written(run: Run) -> str:
    """Let the pending move hold, as the worker does; its kind."""
    assert run.move is not None, "there is nothing to write"
    move, run.move = run.move, None
    states = {"to_pulling": "pulling", "fence": "created", "to_running": "running", "to_exited": "exited"}
    run.state = AttemptState(states.get(move.kind, run.state))
    run.need = move.then
    return move.kind

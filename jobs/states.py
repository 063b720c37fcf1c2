"""The two state machines, and how one follows from the other.

An attempt only moves forward, and may skip steps::

    claimed ─► pulling ─► created ─► running ─► stopping ─► exited ─► ended(outcome)

A job's status is the specification's word for where its current attempt is::

    pending ─► starting (claimed, pulling, created) ─► running (running, stopping, exited)
       ▲                                                   │
       └── a retry is due ◄────────────────────────────────┴─► completed | failed | timeout | cancelled
"""

from __future__ import annotations

from django.db import models


class AttemptState(models.TextChoices):
    """Where one launch is."""

    CLAIMED = "claimed", "Claimed"
    PULLING = "pulling", "Pulling the image"
    CREATED = "created", "Created"
    RUNNING = "running", "Running"
    STOPPING = "stopping", "Stopping"
    EXITED = "exited", "Exited, collecting its log"
    ENDED = "ended", "Ended"


class JobStatus(models.TextChoices):
    """Where a job is; the specification's words, and `starting`."""

    PENDING = "pending", "Pending"
    STARTING = "starting", "Starting"
    RUNNING = "running", "Running"
    COMPLETED = "completed", "Completed"
    FAILED = "failed", "Failed"
    TIMEOUT = "timeout", "Timed out"
    CANCELLED = "cancelled", "Cancelled"


class Outcome(models.TextChoices):
    """How an attempt ended."""

    SUCCEEDED = "succeeded", "Succeeded"
    USER = "user", "The program failed"
    OOM = "oom", "Out of memory"
    INTERRUPTED = "interrupted", "Interrupted from outside"
    TIMEOUT = "timeout", "Over its timeout"
    CANCELLED = "cancelled", "Cancelled"
    REJECTED = "rejected", "Rejected: it cannot start as it is"
    INFRA = "infra", "The engine could not start it"
    LOST = "lost", "Lost: its container is gone"


class StopReason(models.TextChoices):
    """Why we stop a container."""

    TIMEOUT = "timeout", "Over its timeout"
    CANCELLED = "cancelled", "Cancelled"
    START_DEADLINE = "late", "Over its start deadline before it ran"
    POISON = "poison", "Its handling crashed worker after worker"
    DRAINED = "drained", "Its host was drained, and the time for that was over"
    DECLARED_LOST = "declared", "Its host was declared lost, and came back"


POISON_AFTER = 3  # workers killed by one attempt

_ORDER = tuple(AttemptState)
COMES_FROM: dict[AttemptState, tuple[AttemptState, ...]] = {
    state: _ORDER[:position] for position, state in enumerate(_ORDER)
}

OPEN_STATES = _ORDER[:-1]
NOT_STARTED = (AttemptState.CLAIMED, AttemptState.PULLING, AttemptState.CREATED)
SLOT_HOLDING = (*NOT_STARTED, AttemptState.RUNNING, AttemptState.STOPPING)

OPEN_STATUSES = (JobStatus.STARTING, JobStatus.RUNNING)
ENDED_STATUSES = (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.TIMEOUT, JobStatus.CANCELLED)

# The failure class of attempts that were declared lost, whose containers are archived if they come back.
DECLARED_LOST = "declared_lost"

_STATUS_OF_OUTCOME = {
    Outcome.SUCCEEDED: JobStatus.COMPLETED,
    Outcome.TIMEOUT: JobStatus.TIMEOUT,
    Outcome.CANCELLED: JobStatus.CANCELLED,
}


def status_while(state: AttemptState) -> JobStatus:
    """The job's status while its current attempt is in an open state."""
    return JobStatus.STARTING if state in NOT_STARTED else JobStatus.RUNNING


def status_after(outcome: Outcome) -> JobStatus:
    """The job's status once its last attempt has ended."""
    return _STATUS_OF_OUTCOME.get(outcome, JobStatus.FAILED)

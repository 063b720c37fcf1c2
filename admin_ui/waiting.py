"""Why a pending job waits, for people: what the clerk wrote, unless nobody is there who would write it."""

from __future__ import annotations

from jobs.models import ContainerJob
from jobs.models.job import Hold
from jobs.states import JobStatus

NOBODY = "No supervisor is running; start one with manage.py supervise"


def pending_reason(job: ContainerJob, *, supervised: bool) -> str:
    """One sentence; empty for a job that is not pending, or that is about to be taken."""
    if job.status != JobStatus.PENDING:
        return ""
    if job.hold:
        return str(Hold(job.hold).label)
    return job.pending_reason if supervised else NOBODY

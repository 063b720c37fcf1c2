"""Reading one job for its page: never what is large, never what has to be decrypted."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404

from jobs.models import Attempt, ContainerJob
from jobs.states import ENDED_STATUSES

_MOST_DIGITS = 9
# Of another job only its name and status are told.
_LARGE = (
    "secret_environment",
    "override_environment",
    "executor_metadata",
    "failure_message",
    "failure_hint",
)


def job(job_id: UUID) -> ContainerJob:
    """The job with all that its header tells of others; Http404 if there is none."""
    found = (
        ContainerJob.objects.select_related("template", "docker_host", "created_by", "restarted_from")
        .defer(
            *("secret_environment", "override_environment", "executor_metadata"),
            *("docker_host__secret_config", "created_by__password"),
            *(f"restarted_from__{name}" for name in _LARGE),
        )
        .filter(pk=job_id)
        .first()
    )
    if found is None:
        raise Http404(f"There is no job {job_id}; it may have been deleted.")
    return found


def attempts(job: ContainerJob) -> QuerySet[Attempt]:
    """The attempts of a job with their hosts, newest first, without what they run."""
    found = Attempt.objects.filter(job_id=job.pk).select_related("host")
    return found.defer("spec", "host__secret_config").order_by("-number")


def newest(job: ContainerJob) -> Attempt | None:
    """Its newest attempt; None before the first."""
    return attempts(job).filter(number=job.attempt_count).first() if job.attempt_count else None


def chosen(job: ContainerJob, number: str) -> Attempt | None:
    """The attempt of this number, as an address has it; empty: the newest. Http404 if there is none."""
    if not number:
        return newest(job)
    is_number = number.isascii() and number.isdigit() and len(number) <= _MOST_DIGITS
    found = attempts(job).filter(number=int(number)).first() if is_number else None
    if found is None:
        raise Http404(f"This job has no attempt {number[:_MOST_DIGITS]}.")
    return found


def is_final(job: ContainerJob) -> bool:
    """Whether nothing of it will change any more, unless somebody retries it."""
    return job.status in ENDED_STATUSES

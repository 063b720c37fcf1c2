"""Jobs as `--json` gives them. The same keys everywhere, and two more where it is about one job; other
programs rely on them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db.models import F, QuerySet
from django.utils import timezone

from admin_ui import presenters, waiting
from hosts.executors import frames
from jobs import logs, spec, usage
from jobs.measures import FIGURES
from jobs.models import Attempt, ContainerExecution, ContainerJob
from jobs.states import JobStatus
from supervisor.processes import is_supervised

Record = dict[str, Any]
_TEXTS = ("stdout", "stderr", "docker_log")


def records(jobs: QuerySet[ContainerJob]) -> list[Record]:
    """One record a job, in a fixed number of queries."""
    found = list(
        jobs.select_related("template", "docker_host", "execution").defer(
            *(f"execution__{name}" for name in _TEXTS), "override_environment", "secret_environment"
        )
    )
    attempts = {attempt.job_id: attempt for attempt in current_attempts(job.pk for job in found)}
    supervised = any(job.status == JobStatus.PENDING for job in found) and is_supervised()
    return [_record(job, attempts.get(job.pk), supervised=supervised) for job in found]


def whole_record(job_id: UUID) -> Record | None:
    """One job with its attempts, oldest first, and what bounds it; None if it was deleted."""
    found = records(ContainerJob.objects.filter(pk=job_id))
    if not found:
        return None
    job = ContainerJob.objects.select_related("template").get(pk=job_id)
    attempts = list(Attempt.objects.filter(job_id=job_id).order_by("number").defer("spec"))
    return {
        **found[0],
        "limits": spec.limits(job, attempts[-1] if attempts else None),
        "attempts": [_attempt(attempt) for attempt in attempts],
    }


_OF_AN_ATTEMPT = (
    "number",
    "state",
    "outcome",
    "exit_code",
    "phase",
    "worker_kills",
    "stop_reason",
    "container_id",
    "claimed_at",
    "started_at",
    "deadline_at",
    "stopping_at",
    "finished_at",
    "ended_at",
    "unknown_since_at",
    "logs_complete",
    "logs_note",
    "log_gap_bytes",
)


def _attempt(attempt: Attempt) -> Record:
    ended_at = attempt.finished_at or attempt.ended_at
    return {
        **{name: getattr(attempt, name) for name in _OF_AN_ATTEMPT},
        "host": attempt.host_name,
        "duration_seconds": presenters.duration_seconds(attempt.started_at, ended_at, timezone.now()),
        "failure": _failure(attempt),
    }


def current_attempts(job_ids: Iterable[UUID]) -> QuerySet[Attempt]:
    """The newest attempt of each job that has one, without what it runs."""
    return Attempt.objects.filter(job_id__in=list(job_ids), number=F("job__attempt_count")).defer("spec")


def logs_of(job_id: UUID) -> dict[str, str]:
    """The log of the job's newest attempt as text; what is no UTF-8 is replaced, what is left out marked."""
    attempt = current_attempts([job_id]).first()
    return {
        name: _text(attempt, stream) if attempt else ""
        for name, stream in (("stdout", frames.STDOUT), ("stderr", frames.STDERR))
    }


def _text(attempt: Attempt, stream: int) -> str:
    return b"".join(logs.stream_bytes(attempt.pk, stream, marked=True)).decode("utf-8", "replace")


def _record(job: ContainerJob, attempt: Attempt | None, *, supervised: bool) -> Record:
    return {
        "id": str(job.pk),
        "name": job.name,
        "status": job.status,
        "exit_code": job.exit_code,
        "template": job.template.name,
        "host": _host_name(job, attempt),
        "attempt": job.attempt_count,
        "phase": (attempt and attempt.phase) or None,
        "pending_reason": waiting.pending_reason(job, supervised=supervised) or None,
        "failure": _failure(job),
        "created_at": job.created_at,
        "started_at": job.started_at,
        "completed_at": job.completed_at,
        "duration_seconds": presenters.duration_seconds(job.started_at, job.completed_at, timezone.now()),
        "container_id": (attempt and attempt.container_id) or None,
        **_measured(job, attempt),
    }


def _host_name(job: ContainerJob, attempt: Attempt | None) -> str | None:
    if attempt is not None:
        return attempt.host_name
    return job.docker_host.name if job.docker_host else None


def _failure(row: ContainerJob | Attempt) -> Record | None:
    if not row.failure_class:
        return None
    return {"class": row.failure_class, "message": row.failure_message, "hint": row.failure_hint}


def _measured(job: ContainerJob, attempt: Attempt | None) -> Record:
    """What the newest attempt used, so far if it has not ended; None for what was not measured."""
    execution: ContainerExecution | None = getattr(job, "execution", None)
    if execution is not None and execution.attempt_number == job.attempt_count:
        return {name: getattr(execution, name) for name in FIGURES}
    return usage.figures(attempt) if attempt else dict.fromkeys(FIGURES)

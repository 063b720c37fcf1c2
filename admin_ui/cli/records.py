"""Jobs as `--json` gives them. The same keys everywhere; other programs rely on them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db.models import F, Max, QuerySet
from django.utils import timezone

from admin_ui import presenters, waiting
from hosts.executors import frames
from jobs import logs
from jobs.models import Attempt, ContainerExecution, ContainerJob, UsageSample
from jobs.states import AttemptState, JobStatus
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
    usage = _usage_so_far(attempt.pk for attempt in attempts.values() if attempt.state != AttemptState.ENDED)
    supervised = any(job.status == JobStatus.PENDING for job in found) and is_supervised()
    return [_record(job, attempts.get(job.pk), usage, supervised=supervised) for job in found]


def current_attempts(job_ids: Iterable[UUID]) -> QuerySet[Attempt]:
    """The newest attempt of each job that has one, without what it runs."""
    return Attempt.objects.filter(job_id__in=list(job_ids), number=F("job__attempt_count")).defer("spec")


def logs_of(job_id: UUID) -> dict[str, str]:
    """The whole log of the job's newest attempt as text; what is no UTF-8 is replaced."""
    attempt = current_attempts([job_id]).first()
    return {
        name: b"".join(logs.stream_bytes(attempt.pk, stream)).decode("utf-8", "replace") if attempt else ""
        for name, stream in (("stdout", frames.STDOUT), ("stderr", frames.STDERR))
    }


def _usage_so_far(attempt_ids: Iterable[UUID]) -> dict[UUID, Record]:
    samples = UsageSample.objects.filter(attempt_id__in=list(attempt_ids)).order_by()
    measured = samples.values_list("attempt_id").annotate(Max("memory_bytes"), Max("cpu_seconds"))
    return {
        attempt_id: {"peak_memory_bytes": peak, "cpu_seconds": seconds}
        for attempt_id, peak, seconds in measured
    }


def _record(
    job: ContainerJob, attempt: Attempt | None, usage: dict[UUID, Record], *, supervised: bool
) -> Record:
    return {
        "id": str(job.pk),
        "name": job.name,
        "status": job.status,
        "exit_code": job.exit_code,
        "template": job.template.name,
        "host": _host_name(job, attempt),
        "attempt": job.attempt_count,
        "pending_reason": waiting.pending_reason(job, supervised=supervised) or None,
        "failure": _failure(job),
        "created_at": job.created_at,
        "started_at": job.started_at,
        "completed_at": job.completed_at,
        "duration_seconds": presenters.duration_seconds(job.started_at, job.completed_at, timezone.now()),
        "container_id": (attempt and attempt.container_id) or None,
        **_measured(job, attempt, usage),
    }


def _host_name(job: ContainerJob, attempt: Attempt | None) -> str | None:
    if attempt is not None:
        return attempt.host_name
    return job.docker_host.name if job.docker_host else None


def _failure(job: ContainerJob) -> Record | None:
    if not job.failure_class:
        return None
    return {"class": job.failure_class, "message": job.failure_message, "hint": job.failure_hint}


def _measured(job: ContainerJob, attempt: Attempt | None, usage: dict[UUID, Record]) -> Record:
    execution: ContainerExecution | None = getattr(job, "execution", None)
    if execution is not None and execution.attempt_number == job.attempt_count:
        return {"peak_memory_bytes": execution.peak_memory_bytes, "cpu_seconds": execution.cpu_seconds}
    nothing: Record = {"peak_memory_bytes": None, "cpu_seconds": None}
    return usage.get(attempt.pk, nothing) if attempt else nothing

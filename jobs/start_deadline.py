"""Ending jobs that waited too long for their first start, lest they start when nobody wants them any more.

The clock runs from the submission (or a person's start or retry) to the first start, and stands still while
the job is held. Automatic retries of a job that has started once are not under it.
"""

from __future__ import annotations

from collections import defaultdict
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Now

from hosts import wakeups
from jobs import batches, moves, outcome
from jobs.models import ContainerJob, ContainerTemplate, JobEvent
from jobs.states import JobStatus

_MOST = 200
_SECONDS = "COALESCE(j.override_start_deadline_seconds, t.start_deadline_seconds)"


def expire() -> int:
    """Fail pending jobs that are over their start deadline, up to 200 of them; how many."""
    limited = Q(override_start_deadline_seconds__isnull=False) | Q(
        template_id__in=ContainerTemplate.objects.exclude(start_deadline_seconds=None).values("pk")
    )
    if not ContainerJob.objects.pending().filter(limited, hold="").exists():
        return 0
    with transaction.atomic():
        overdue = _locked()
        for seconds, ids in overdue.items():
            _fail(ids, seconds)
        ids = [one for some in overdue.values() for one in some]
        if ids and moves.release_restarts(ids):
            wakeups.notify(None)
    return len(ids)


def _locked() -> dict[int, list[UUID]]:
    """Jobs over their deadline, by its length, that nobody can claim until the transaction ends."""
    skip = " FOR UPDATE OF j SKIP LOCKED" if connection.vendor == "postgresql" else ""
    overdue: dict[int, list[UUID]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT j.id, {_SECONDS} FROM jobs_containerjob AS j "
            "JOIN jobs_containertemplate AS t ON t.id = j.template_id "
            f"WHERE j.status = '{JobStatus.PENDING}' AND j.hold = '' "
            f"AND j.waiting_since_at <= {batches.later(f'(-{_SECONDS})')} LIMIT %s{skip}",
            [_MOST],
        )
        for job_id, seconds in cursor.fetchall():
            overdue[seconds].append(job_id if isinstance(job_id, UUID) else UUID(job_id))
    return overdue


def _fail(ids: list[UUID], seconds: int) -> None:
    verdict = outcome.start_deadline_passed(seconds)
    ContainerJob.objects.filter(pk__in=ids).update(
        status=JobStatus.FAILED,
        completed_at=Now(),
        failure_class=verdict.failure_class,
        failure_message=verdict.message,
        failure_hint=verdict.hint,
        not_before_at=None,
        pending_reason="",
    )
    JobEvent.objects.bulk_create(
        JobEvent(job_id=job_id, kind="ended", message=verdict.message) for job_id in ids
    )

"""Jobs handed in and waited for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from tests.support.waiting import wait_until

PATIENCE_SECONDS = 180.0


def submit(host: Any, template: Any, count: int, **fields: Any) -> list[UUID]:
    """So many jobs in one statement, and the word to the host's worker."""
    from hosts import wakeups
    from jobs.models import ContainerJob

    jobs = [ContainerJob(template=template, docker_host=host, **fields) for _ in range(count)]
    ids = [job.pk for job in ContainerJob.objects.bulk_create(jobs)]
    wakeups.notify(host.pk)
    return ids


def wait_for(ids: Sequence[UUID]) -> None:
    """Until all of them have ended; AssertionError unless all of them completed."""
    from jobs.models import ContainerJob
    from jobs.states import ENDED_STATUSES, JobStatus

    jobs = ContainerJob.objects.filter(pk__in=ids)
    # Ids follow in time; to name a thousand of them in every look would take a core from what is measured.
    unended = ContainerJob.objects.filter(pk__range=(min(ids), max(ids))).exclude(status__in=ENDED_STATUSES)
    wait_until(lambda: not unended.exists(), timeout_seconds=PATIENCE_SECONDS, what="every job to end")
    wrong = jobs.exclude(status=JobStatus.COMPLETED).values_list("status", "failure_message").first()
    assert wrong is None, f"a job did not complete: {wrong}"

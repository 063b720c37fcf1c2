"""Containers that were still kept when somebody deleted their jobs: removed, as that asked for it."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.db.models import QuerySet

from hosts.executors.contract import Observation
from jobs.models import ContainerJob, LeftContainer


def left_by(host_id: UUID, orphans: Sequence[Observation]) -> list[Observation]:
    """Those of the containers without a row that are to be removed; what is gone is not asked for any more.

    A job that is there again (the database was restored) keeps its container.
    """
    deleted = {str(job_id) for job_id in _of(host_id).values_list("job_id", flat=True)}
    if not deleted:
        return []
    back = ContainerJob.objects.filter(pk__in=deleted).values_list("pk", flat=True)
    going = deleted & {seen.label("job") for seen in orphans} - {str(job_id) for job_id in back}
    _of(host_id).filter(job_id__in=deleted - going).delete()
    return [seen for seen in orphans if seen.label("job") in going]


def _of(host_id: UUID) -> QuerySet[LeftContainer]:
    return LeftContainer.objects.filter(host_id=host_id)

"""The tab of a job's events: who did what, when and why, newest first."""

from __future__ import annotations

from typing import Any

from django.db.models import Q
from django.http import HttpRequest

from jobs.models import ContainerJob, JobEvent

_MOST = 100


def body(request: HttpRequest, job: ContainerJob) -> dict[str, Any]:
    """What `job/_events.html` shows; `?before=<id>` goes on with what is older than that event."""
    found = JobEvent.objects.filter(job_id=job.pk)
    before = request.GET.get("before", "")
    if before.isascii() and before.isdigit() and (mark := found.filter(pk=before[:18]).first()):
        found = found.filter(Q(at__lt=mark.at) | Q(at=mark.at, pk__lt=mark.pk))
    rows = list(found.order_by("-at", "-id")[: _MOST + 1])
    return {
        "events": rows[:_MOST],
        "older": rows[_MOST - 1].pk if len(rows) > _MOST else None,
        "is_older": bool(before),
    }

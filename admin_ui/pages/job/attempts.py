"""The tab of a job's attempts: each launch, how it ended and what it used; and what it restarts."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from admin_ui import limits, presenters
from admin_ui.pages.job import reading
from jobs import usage
from jobs.models import Attempt, ContainerJob
from jobs.states import AttemptState, Outcome

_MOST = 100
_MOST_RESTARTS = 20


def body(request: HttpRequest, job: ContainerJob) -> dict[str, Any]:
    """What `job/_attempts.html` shows: two queries, whatever the number of attempts."""
    found = list(reading.attempts(job)[: _MOST + 1])
    restarts = ContainerJob.objects.filter(restarted_from_id=job.pk).only(
        "id", "name", "status", "created_at"
    )
    return {
        "rows": [row(attempt) for attempt in found[:_MOST]],
        "left_out": max(0, job.attempt_count - _MOST),
        "restarts": list(restarts.order_by("-created_at", "-id")[:_MOST_RESTARTS]),
    }


def row(attempt: Attempt) -> dict[str, Any]:
    """One attempt as a line of the table."""
    figures = usage.figures(attempt)
    return {
        "attempt": attempt,
        "word": attempt.outcome or attempt.state,
        "label": Outcome(attempt.outcome).label if attempt.outcome else attempt.get_state_display(),
        "took": _took(attempt),
        "note": _note(attempt),
        "memory": presenters.size(figures["peak_memory_bytes"]) or presenters.NOT_MEASURED,
        "cpu": presenters.duration(figures["cpu_seconds"]) or presenters.NOT_MEASURED,
    }


def _took(attempt: Attempt) -> float | None:
    """None for one that never started, or still runs: that is counted on by the page's script."""
    ended_at = attempt.finished_at or attempt.ended_at
    return presenters.duration_seconds(attempt.started_at, ended_at, ended_at) if ended_at else None


def _note(attempt: Attempt) -> str:
    phase = attempt.phase if attempt.state != AttemptState.ENDED else ""
    return limits.note(
        phase=phase,
        worker_kills=attempt.worker_kills,
        failure=f"{attempt.failure_message} {attempt.failure_hint}".strip(),
        logs_note=attempt.logs_note,
    )

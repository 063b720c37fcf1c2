"""The upper part of a job's page: how it is, what may be done, why it waits or failed, what happened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from admin_ui import presenters, waiting
from admin_ui.pages.job import reading
from admin_ui.pages.job.actions import actions
from admin_ui.pages.job.timeline import steps
from jobs.explain import explain
from jobs.models import Attempt, ContainerJob, JobEvent
from jobs.states import ENDED_STATUSES, AttemptState, JobStatus
from supervisor.processes import is_supervised

_MOST_EVENTS = 60
_PARTS_OF_A_BAR = 100


def context(request: HttpRequest, job: ContainerJob) -> dict[str, Any]:
    """All that `job/_head.html` shows, in a fixed number of queries."""
    attempt = reading.newest(job)
    ended_at = _ended_at(job, attempt)
    return {
        "job": job,
        "attempt": attempt,
        "is_final": reading.is_final(job),
        "actions": actions(job, attempt, request.user.has_perm),
        "bar": bar(job, attempt, timezone.now()),
        "failure": failure(job),
        "waits_because": _reason(job),
        "verdicts": _verdicts(job, request.user.has_perm),
        "steps": steps(job, attempt, _events(job)),
        "earlier_attempts": max(0, job.attempt_count - 1),
        "ended_at": ended_at,
        "took": presenters.duration_seconds(job.started_at, ended_at, ended_at) if ended_at else None,
    }


def _ended_at(job: ContainerJob, attempt: Attempt | None) -> datetime | None:
    """The engine's moment if there is one: the job's own is when its log was complete, too."""
    if job.completed_at is None:
        return None
    ran = attempt.finished_at if attempt else None
    return max(ran, job.started_at) if ran and job.started_at else job.completed_at


def _reason(job: ContainerJob) -> str:
    is_pending = job.status == JobStatus.PENDING
    return waiting.pending_reason(job, supervised=not is_pending or is_supervised())


def _verdicts(job: ContainerJob, may: Callable[[str], bool]) -> list[Any]:
    """What each host says of a job that waits, best first, for who may know of hosts."""
    if job.status != JobStatus.PENDING or not may("hosts.view_dockerhost"):
        return []
    return explain(job).hosts


def _events(job: ContainerJob) -> list[JobEvent]:
    """Those of the newest attempt and of no attempt, oldest first."""
    wanted = Q(attempt_number=job.attempt_count) | Q(attempt_number=None)
    found = JobEvent.objects.filter(wanted, job_id=job.pk).order_by("-at", "-id")
    return list(found[:_MOST_EVENTS])[::-1]


@dataclass(frozen=True, slots=True)
class Bar:
    """How much of its time a job has used; the page's script counts it on from `started_at`."""

    started_at: datetime
    deadline_at: datetime
    timeout_seconds: float
    used_seconds: float


def bar(job: ContainerJob, attempt: Attempt | None, now: datetime) -> Bar | None:
    """None unless it runs. In steps of a hundredth, so that the part changes no more often than that."""
    if job.status != JobStatus.RUNNING or attempt is None:
        return None
    if attempt.state == AttemptState.EXITED or not attempt.started_at or not attempt.deadline_at:
        return None
    timeout = (attempt.deadline_at - attempt.started_at).total_seconds()
    if timeout <= 0:
        return None
    step = timeout / _PARTS_OF_A_BAR
    used = min(timeout, max(0.0, (now - attempt.started_at).total_seconds()))
    return Bar(attempt.started_at, attempt.deadline_at, round(timeout, 3), round(used // step * step, 3))


@dataclass(frozen=True, slots=True)
class Failure:
    """What happened and what to try; `link` is where to look or what to change."""

    message: str
    hint: str
    is_over: bool
    was_cancelled: bool
    link: str | Promise = ""
    url: str = ""


_OF_TEMPLATE = frozenset({"oom", "timeout", "start_deadline"})
_OF_LOG = frozenset({"exit_code", "signal", "killed", "no_exit_code"})


def failure(job: ContainerJob) -> Failure | None:
    """Why it failed, or its last attempt did; None if nothing has failed yet."""
    if not job.failure_message:
        return None
    link, url = _where_to_look(job)
    return Failure(
        message=job.failure_message,
        hint=job.failure_hint,
        is_over=job.status in ENDED_STATUSES,
        was_cancelled=job.status == JobStatus.CANCELLED,
        link=link,
        url=url,
    )


def _where_to_look(job: ContainerJob) -> tuple[str | Promise, str]:
    here = reverse("admin:job", args=[job.pk])
    if job.failure_class in _OF_TEMPLATE:
        return _("Open the template"), reverse("admin:template", args=[job.template_id])
    if job.failure_class in _OF_LOG:
        return _("Read its log"), f"{here}?tab=logs"
    if job.status == JobStatus.CANCELLED:
        return "", ""
    return _("See how it was to run"), f"{here}?tab=configuration"

"""Jobs as the list shows them. Reads what a page of them needs in a few statements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db.models import F, QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _

from admin_ui import acts, presenters, waiting
from admin_ui.acts import Verb
from admin_ui.templatetags import ops
from jobs.models import Attempt, ContainerJob, JobEvent
from jobs.states import ENDED_STATUSES, JobStatus
from supervisor.processes import is_supervised

_SENTENCE = 140
_SHORT_ID = 8
# Never the environments: what is not read cannot be shown.
_COLUMNS = (
    *("id", "name", "status", "hold", "pending_reason", "created_at", "started_at", "completed_at"),
    *("waiting_since_at", "attempt_count", "exit_code", "failure_message", "cancel_requested_at"),
    *("cancelled_by", "priority", "limit_key", "failure_class", "failure_hint", "override_image"),
    *("template__id", "template__name", "docker_host__id", "docker_host__name", "created_by__username"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A job, with what is said of it. Durations are in seconds; `*_since` are set while they still grow."""

    job: ContainerJob
    label: str
    phase: str
    host: str
    by: str
    note: str
    links: Links
    waited: float | None
    waiting_since: datetime | None
    lasted: float | None
    running_since: datetime | None


@dataclass(frozen=True, slots=True)
class Links:
    """Where a row leads; empty where its viewer may not go. `act` is what people mostly want of it."""

    job: str = ""
    template: str = ""
    host: str = ""
    act: str = ""
    verb: Verb | None = None
    drawing: str = ""
    clone: str = ""


def jobs() -> QuerySet[ContainerJob]:
    """Jobs with what a row needs, and no more."""
    found = ContainerJob.objects.select_related("template", "docker_host", "created_by")
    return found.only(*_COLUMNS)


def rows(jobs: Sequence[ContainerJob], linker: Linker | None = None) -> list[Row]:
    """What is shown of jobs that were read by `jobs`; three statements for any number of them."""
    attempts, submitters = _newest_attempts(jobs), _submitters(jobs)
    is_waiting = any(job.status == JobStatus.PENDING for job in jobs)
    supervised = not is_waiting or is_supervised()
    found = []
    for job in jobs:
        attempt = attempts.get(job.pk, {})
        links = linker.links(job, attempt.get("host_id") or job.docker_host_id) if linker else _NO_LINKS
        by = job.created_by.get_username() if job.created_by else submitters.get(job.pk, "")
        found.append(_row(job, attempt, by, links, supervised=supervised))
    return found


_NO_LINKS = Links()


class Linker:
    """Makes the links of rows: each kind of address is looked up once, not once for each row."""

    def __init__(self, user: AbstractBaseUser | AnonymousUser) -> None:
        may = getattr(user, "has_perm", lambda _permission: False)
        self._job = _pattern("admin:job")
        self._template = _pattern("admin:template") if may("jobs.view_containertemplate") else ""
        self._host = _pattern("admin:host") if may("hosts.view_dockerhost") else ""
        self._may_act = may(acts.VERBS["cancel"].permission)
        self._clone = f"{reverse('admin:job_new')}?from={_ANY}" if may("jobs.add_containerjob") else ""
        self._drawings = {name: ops.icon(verb.icon) for name, verb in acts.VERBS.items()}

    def links(self, job: ContainerJob, host_id: UUID | None) -> Links:
        """Of one row."""
        verb = _likely_act(job)
        key = str(job.pk)
        return Links(
            job=self._job.replace(_ANY, key),
            template=self._template.replace(_ANY, str(job.template_id)),
            host=self._host.replace(_ANY, str(host_id)) if host_id else "",
            act=f"{reverse('admin:job_act', args=[verb.name])}?id={key}" if self._may_act else "",
            verb=verb,
            drawing=self._drawings[verb.name],
            clone=self._clone.replace(_ANY, key),
        )


_ANY = "00000000-0000-0000-0000-000000000000"


def _pattern(name: str) -> str:
    return reverse(name, args=[_ANY])


def _newest_attempts(jobs: Sequence[ContainerJob]) -> dict[UUID, dict[str, Any]]:
    keys = [job.pk for job in jobs if job.attempt_count]
    found = Attempt.objects.filter(job_id__in=keys, number=F("job__attempt_count")).order_by()
    told = found.values("job_id", "host_id", "host_name", "phase", "number", "claimed_at", "outcome")
    return {one["job_id"]: dict(one) for one in told}


def _submitters(jobs: Sequence[ContainerJob]) -> dict[UUID, str]:
    """Who handed in what no user of the site did: a command's user, or a program."""
    keys = [job.pk for job in jobs if not job.created_by_id]
    events = JobEvent.objects.filter(job_id__in=keys, kind="submitted").order_by()
    return dict(events.values_list("job_id", "who"))


def _row(job: ContainerJob, attempt: dict[str, Any], by: str, links: Links, *, supervised: bool) -> Row:
    is_pending = job.status == JobStatus.PENDING
    has_ended = job.status in ENDED_STATUSES
    pinned = job.docker_host
    return Row(
        job=job,
        label=job.name or str(job.pk)[-_SHORT_ID:],
        phase="" if attempt.get("outcome") else attempt.get("phase", ""),
        host=attempt.get("host_name") or (pinned.name if pinned else ""),
        by=by,
        note=_short(_note(job, supervised=supervised)),
        links=links,
        waited=_waited(job, attempt),
        waiting_since=(job.waiting_since_at or job.created_at) if is_pending else None,
        lasted=_seconds(job.started_at, job.completed_at),
        running_since=None if has_ended else job.started_at,
    )


def _note(job: ContainerJob, *, supervised: bool) -> str:
    """Why it waits, what became of it, or what is being done to it."""
    if job.status == JobStatus.PENDING:
        return waiting.pending_reason(job, supervised=supervised)
    if job.status in ENDED_STATUSES:
        return job.failure_message if job.status != JobStatus.COMPLETED else ""
    if job.cancel_requested_at:
        return _("Being cancelled by %(who)s") % {"who": job.cancelled_by or _("somebody")}
    return ""


def _likely_act(job: ContainerJob) -> Verb:
    if job.status not in ENDED_STATUSES:
        return acts.VERBS["cancel" if job.status == JobStatus.PENDING else "stop"]
    return acts.VERBS["restart" if job.status == JobStatus.COMPLETED else "retry"]


def _waited(job: ContainerJob, attempt: dict[str, Any]) -> float | None:
    """From the submission to the first claim, where the newest attempt is the first."""
    if job.status == JobStatus.PENDING:
        return None
    if not attempt:
        return _seconds(job.created_at, job.completed_at)
    return _seconds(job.created_at, attempt["claimed_at"]) if attempt["number"] == 1 else None


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    return presenters.duration_seconds(start, end, end) if start and end else None


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SENTENCE else f"{text[: _SENTENCE - 1].rstrip()}…"

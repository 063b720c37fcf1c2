"""What the viewer of a job may do with it now: what its operations would accept, and nothing else. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from jobs.models import Attempt, ContainerJob
from jobs.models.job import Hold
from jobs.states import ENDED_STATUSES, JobStatus
from jobs.verbs import accepted

CHANGE, ADD, DELETE = "jobs.change_containerjob", "jobs.add_containerjob", "jobs.delete_containerjob"


@dataclass(frozen=True, slots=True)
class Action:
    """A button of the header; those with `in_dialog` ask before they do anything."""

    label: str | Promise
    icon: str
    url: str
    style: str = "outline-secondary"
    in_dialog: bool = True


def actions(job: ContainerJob, attempt: Attempt | None, may: Callable[[str], bool]) -> list[Action]:
    """In the order in which they are wanted; `may` answers for a permission of the viewer."""
    verbs = accepted(job, attempt)
    found = []
    if may(CHANGE):
        found += [_act(job, *one) for one in _changes(job) if one[0] in verbs]
    if may(ADD):
        again = f"{reverse('admin:job_new')}?from={job.pk}"
        found.append(Action(_("Clone and edit"), "files", again, in_dialog=False))
    if may(DELETE) and "delete" in verbs:
        found.append(_act(job, "delete", _("Delete"), "trash", "outline-danger"))
    return found


def _changes(job: ContainerJob) -> list[tuple[str, str | Promise, str, str]]:
    if job.status == JobStatus.PENDING:
        waits = bool(job.hold or job.not_before_at)
        start = [("start", _("Start now"), "play", "primary")] if waits else []
        hold = [("stop", _("Hold"), "pause", "outline-secondary")] if job.hold != Hold.STOPPED else []
        return [*start, *hold, _CANCEL, ("restart", _("Restart"), "arrow-repeat", "outline-secondary")]
    if job.status in ENDED_STATUSES:
        return [
            ("retry", _("Retry"), "arrow-clockwise", "primary"),
            ("restart", _("Run again"), "arrow-repeat", "outline-secondary"),
        ]
    return [_STOP, ("restart", _("Restart"), "arrow-repeat", "outline-secondary")]


# What is under way is stopped, what only waits is cancelled: both end as cancelled.
_STOP = ("stop", _("Stop"), "stop", "outline-danger")
_CANCEL = ("cancel", _("Cancel"), "x-circle", "outline-danger")


def _act(job: ContainerJob, verb: str, label: str | Promise, icon: str, style: str) -> Action:
    # Where to go on: a job that is deleted has no page any more.
    back = reverse("admin:jobs") if verb == "delete" else reverse("admin:job", args=[job.pk])
    query = urlencode({"id": job.pk, "back": back})
    return Action(label, icon, f"{reverse('admin:job_act', args=[verb])}?{query}", style)

"""What people do to jobs, one or many: the words for it, the right it needs, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import OperationalError
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from jobs import operations
from jobs.operations import Refused

MOST_NAMED = 5
_CHANGE, _DELETE = "jobs.change_containerjob", "jobs.delete_containerjob"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """`means` says what it does, `result` what has become of the jobs that took it.

    `can_force`: it may be asked for without the grace that running jobs are given.
    """

    name: str
    label: str | Promise
    means: str | Promise
    result: str | Promise
    icon: str
    permission: str = _CHANGE
    is_dangerous: bool = False
    can_force: bool = False


VERBS = {
    verb.name: verb
    for verb in (
        Verb(
            name="start",
            label=gettext_lazy("Start"),
            means=gettext_lazy("Held and delayed jobs may go at once."),
            result=gettext_lazy("may start"),
            icon="play",
        ),
        Verb(
            name="stop",
            label=gettext_lazy("Stop"),
            means=gettext_lazy("Running jobs are ended, gently first; pending ones are held back."),
            result=gettext_lazy("being stopped"),
            icon="stop",
            is_dangerous=True,
            can_force=True,
        ),
        Verb(
            name="restart",
            label=gettext_lazy("Restart"),
            means=gettext_lazy(
                "Each is handed in again as a new job; one that still runs is cancelled first."
            ),
            result=gettext_lazy("submitted again"),
            icon="arrow-repeat",
        ),
        Verb(
            name="cancel",
            label=gettext_lazy("Cancel"),
            means=gettext_lazy("Pending jobs end at once; running ones are ended, gently first."),
            result=gettext_lazy("being cancelled"),
            icon="x-circle",
            is_dangerous=True,
            can_force=True,
        ),
        Verb(
            name="retry",
            label=gettext_lazy("Retry"),
            means=gettext_lazy("Ended jobs that did not complete get one more attempt."),
            result=gettext_lazy("getting one more attempt"),
            icon="arrow-clockwise",
        ),
        Verb(
            name="delete",
            label=gettext_lazy("Delete"),
            means=gettext_lazy("Ended jobs go for good, with their logs and history."),
            result=gettext_lazy("deleted"),
            icon="trash",
            permission=_DELETE,
            is_dangerous=True,
        ),
    )
}


@dataclass(slots=True)
class Outcome:
    """What came of an act: how many jobs took it, how many did not, and why the first of those did not.

    `left` are those that there was no time for; `made` is the last job that a restart made.
    """

    done: int = 0
    refused: int = 0
    reasons: list[str] = field(default_factory=list)
    left: Sequence[UUID] = ()
    made: UUID | None = None

    def sentence(self, verb: Verb) -> str:
        """For people: `2 jobs being cancelled. 1 refused: ...`."""
        jobs = ngettext("%(count)d job", "%(count)d jobs", self.done) % {"count": self.done}
        text = f"{jobs} {verb.result}."
        if self.refused:
            text += " " + _("%(count)d refused:") % {"count": self.refused} + " " + " ".join(self.reasons)
            if self.refused > len(self.reasons):
                text += " " + _("And %(count)d more.") % {"count": self.refused - len(self.reasons)}
        return text


def carry_out(
    verb: Verb,
    ids: Sequence[UUID],
    user: AbstractBaseUser | AnonymousUser,
    *,
    force: bool = False,
    seconds: float | None = None,
    before: Outcome | None = None,
) -> Outcome:
    """Ask it of each job; one that refuses does not stand in the way of the others.

    With `seconds` it ends when they are over, after one job at least. `before` is what came of others.
    """
    operation = _operation(verb, user, force=force)
    outcome = before or Outcome()
    until = None if seconds is None else time.monotonic() + seconds
    for place, job_id in enumerate(ids):
        if place and until is not None and time.monotonic() > until:
            outcome.left = ids[place:]
            return outcome
        try:
            made = operation(job_id)
        except Refused as exc:
            _note(outcome, str(exc))
        except OperationalError:  # what another one holds; nothing of this job's act was written
            _note(outcome, _("Job %(id)s: the database was busy; try again.") % {"id": job_id})
        else:
            outcome.done += 1
            outcome.made = getattr(made, "pk", None)
    outcome.left = ()
    return outcome


def _note(outcome: Outcome, reason: str) -> None:
    outcome.refused += 1
    if len(outcome.reasons) < MOST_NAMED:
        outcome.reasons.append(reason)


def _operation(
    verb: Verb, user: AbstractBaseUser | AnonymousUser, *, force: bool
) -> Callable[[UUID], object]:
    if verb.name == "delete":
        return operations.delete
    extra: dict[str, Any] = {"who": user.get_username()}
    if verb.name == "restart" and user.is_authenticated:
        extra["user"] = user
    if verb.can_force and force:
        extra["force"] = True
    operation: Callable[..., object] = getattr(operations, verb.name)
    return partial(operation, **extra)

"""Which containers of attempts that have ended are kept on their engine, and which have had their time."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import BooleanField, ExpressionWrapper, Q
from django.db.models.functions import Now

from jobs.models import Attempt
from jobs.states import AttemptState

Key = tuple[UUID, int]  # job and attempt number, as labels name them


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """How many hours after its attempt's end, and how many on each host, the newest first; 0: without limit.

    With no hours a container goes with the end of its attempt.
    """

    hours: float = 0.0
    count: int = 0

    @classmethod
    def of_settings(cls) -> Keep:
        """What the settings say."""
        return cls(hours=settings.TALLYMAN_RETENTION_HOURS, count=settings.TALLYMAN_RETENTION_COUNT)


def may_go(present: Set[Key], keep: Keep) -> dict[Key, bool]:
    """Of the containers that one host has, those that there are rows of: whether each may go now."""
    attempts = Attempt.objects.filter(job_id__in={job for job, _ in present})
    known = dict.fromkeys(attempts.values_list("job_id", "number"), False)
    old = Q(ended_at__lte=Now() - timedelta(hours=keep.hours))
    ended = attempts.filter(state=AttemptState.ENDED).order_by("-ended_at", "-id")
    is_old = ExpressionWrapper(old, output_field=BooleanField())
    rows = ended.annotate(is_old=is_old).values_list("job_id", "number", "is_old")
    # Of a job that was tried again only the last attempt has a container still.
    there = [((job, number), over) for job, number, over in rows if (job, number) in present]
    for place, (key, over) in enumerate(there):
        known[key] = over or 0 < keep.count <= place
    return known

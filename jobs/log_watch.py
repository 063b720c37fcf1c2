"""Telling the worker that somebody looks at a log, so that it stores what comes of it without delay.

A mark in the attempt's row that runs out by itself: whoever watches renews it, and nobody has to take it
away. The worker reads it with the rows that it reads anyway.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from django.db.models import Q
from django.db.models.functions import Now

from hosts import wakeups
from jobs.models import Attempt

MARK_SECONDS = 30.0
RENEW_EVERY_SECONDS = 10.0


def mark(attempt_ids: Collection[UUID]) -> None:
    """Somebody looks at the logs of these attempts; marks that last for a while yet are left alone.

    The worker of one that nobody looked at until now is woken.
    """
    soon = Now() + timedelta(seconds=MARK_SECONDS - RENEW_EVERY_SECONDS / 2)
    stale = Attempt.objects.open().filter(
        Q(watched_until=None) | Q(watched_until__lt=soon), pk__in=attempt_ids
    )
    found = list(stale.values_list("pk", "host_id", "watched_until"))
    if not found:
        return
    until = Now() + timedelta(seconds=MARK_SECONDS)
    Attempt.objects.open().filter(pk__in=[pk for pk, _, _ in found]).update(watched_until=until)
    for host_id in {host_id for _, host_id, _ in found}:
        wakeups.notify(host_id)

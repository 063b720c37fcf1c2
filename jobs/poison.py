"""Counting the workers that an attempt has killed."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from django.db.models import F

from jobs.models import Attempt, JobEvent

KILLED_WORKER = "killed worker"


def note_kill(attempt_id: UUID, what: str, *, who: str) -> bool:
    """Count a worker that died while it handled the attempt; False if the attempt is not open (any more).

    `what` says how it died and goes into the timeline. The same words, told again, do not count again.
    """
    with transaction.atomic():
        mine = Attempt.objects.open().filter(pk=attempt_id)
        # Locked, so that the end of the attempt waits, and a second teller finds the event of the first.
        row = mine.select_for_update(no_key=True).values_list("job_id", "number").first()
        if row is None:
            return False
        job_id, number = row
        event = {"job_id": job_id, "attempt_number": number, "kind": KILLED_WORKER, "message": what}
        if not JobEvent.objects.filter(**event).exists():
            mine.update(worker_kills=F("worker_kills") + 1)
            JobEvent.objects.create(**event, who=who)
    return True

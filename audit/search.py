"""Finding rows, newest first, a page at a time by their numbers: nothing is ever counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection
from django.db.models import Q, QuerySet

from audit.models import AuditEvent

BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a row must be; None and empty: anything. `object` is its key or its name, as a whole."""

    actor: str = ""
    verb: str = ""
    kind: str = ""
    object: str = ""
    door: str = ""
    outcome: str = ""
    address: str = ""
    act_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None

    def rows(self) -> QuerySet[AuditEvent]:
        """Them, newest first."""
        same = {
            "actor": self.actor,
            "verb": self.verb,
            "object_kind": self.kind,
            "door": self.door,
            "outcome": self.outcome,
            "address": self.address,
            "act_id": self.act_id,
            "at__gte": self.since,
            "at__lte": self.until,
        }
        rows: QuerySet[AuditEvent] = AuditEvent.objects.filter(
            **{name: value for name, value in same.items() if value}
        ).order_by("-seq")
        if self.object:
            rows = rows.filter(Q(object_key=self.object) | Q(object_label=self.object))
        return rows


@dataclass(frozen=True, slots=True)
class Page:
    """Rows, and the numbers from which the pages before and after go on; None: there is none."""

    rows: Sequence[AuditEvent]
    newer: int | None
    older: int | None


def page(wanted: Wanted, size: int, *, after: int | None = None, before: int | None = None) -> Page:
    """The newest rows; `after` a row, those that are older; `before` a row, those that are newer."""
    rows = wanted.rows()
    if before is not None:
        found = list(rows.filter(seq__gt=before).order_by("seq")[: size + 1])
        more, found = len(found) > size, found[:size][::-1]
        return Page(found, found[0].seq if more else None, found[-1].seq if found else None)
    found = list((rows.filter(seq__lt=after) if after is not None else rows)[: size + 1])
    more, found = len(found) > size, found[:size]
    newer = found[0].seq if found and after is not None else None
    return Page(found, newer, found[-1].seq if more else None)


def batches(wanted: Wanted) -> Iterator[list[AuditEvent]]:
    """All of them, a batch in memory at a time."""
    after: int | None = None
    while True:
        rows = wanted.rows()
        batch = list((rows.filter(seq__lt=after) if after is not None else rows)[:BATCH])
        if not batch:
            return
        yield batch
        after = batch[-1].seq


# From each verb to the next one by their index: DISTINCT would read all rows.
_VERBS = """
    WITH RECURSIVE known(verb) AS (
        SELECT MIN(verb) FROM audit_auditevent
        UNION ALL
        SELECT (SELECT MIN(e.verb) FROM audit_auditevent e WHERE e.verb > known.verb)
        FROM known WHERE known.verb IS NOT NULL
    )
    SELECT verb FROM known WHERE verb IS NOT NULL LIMIT 200
"""


def verbs() -> list[str]:
    """The verbs that there are rows of."""
    with connection.cursor() as cursor:
        cursor.execute(_VERBS)
        return [verb for (verb,) in cursor.fetchall()]

"""Audit rows for tests."""

from __future__ import annotations

from typing import Any

from django.db import models

from audit import acts
from audit.entries import Entry
from audit.models import AuditEvent, AuditHead


def leave(count: int = 1, **fields: Any) -> list[AuditEvent]:
    """Rows of acts that somebody did; those that were left."""
    before = newest()
    for number in range(count):
        acts.record(Entry(**{"verb": "thing.change", "kind": "thing", "key": str(number), **fields}))
    return list(AuditEvent.objects.filter(seq__gt=before).order_by("seq"))


def newest() -> int:
    """The number of the last row."""
    return AuditEvent.objects.order_by("-seq").values_list("seq", flat=True).first() or 0


def since(seq: int) -> list[AuditEvent]:
    """The rows after this one."""
    return list(AuditEvent.objects.filter(seq__gt=seq).order_by("seq"))


def only(verb: str) -> AuditEvent:
    """The one row of this verb."""
    return AuditEvent.objects.get(verb=verb)


def tamper(seq: int, **fields: Any) -> None:
    """What somebody does who writes to the database."""
    assert models.QuerySet(AuditEvent).filter(seq=seq).update(**fields) == 1


def cut(*seqs: int) -> None:
    """Delete rows behind the program's back."""
    models.QuerySet(AuditEvent).filter(seq__in=seqs)._raw_delete("default")


def set_head(**fields: Any) -> None:
    """Write the head behind the program's back."""
    models.QuerySet(AuditHead).update(**fields)

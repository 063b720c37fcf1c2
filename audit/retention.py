"""Deleting old rows: only on somebody's word, and only below a checkpoint that says whose."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from audit import actors, acts, chain
from audit.models import AuditCheckpoint, AuditEvent, unguarded

_BATCH = 1000


class NothingToPrune(Exception):
    """No row is that old."""


def sign_off(before: datetime, *, reason: str) -> AuditCheckpoint:
    """Leave a checkpoint at the last row from before that moment, and a row that tells of it.

    The rows in between must follow each other without a gap: a checkpoint shall not hide one.
    """
    with acts.act("audit.prune", kind="audit") as entry:
        cut = AuditCheckpoint.objects.order_by("-seq").first()
        start = cut.seq if cut else 0
        old = AuditEvent.objects.filter(seq__gt=start)
        # By the first row that stays: moments of several machines need not be in the order of the rows.
        stays = old.filter(at__gte=before).order_by("seq").values_list("seq", flat=True).first()
        last = (old.filter(seq__lt=stays) if stays else old).order_by("-seq").first()
        if last is None:
            raise NothingToPrune(f"No row is from before {before:%Y-%m-%d %H:%M} UTC.")
        checkpoint = AuditCheckpoint(
            seq=last.seq,
            hash=last.hash,
            signed_by=actors.current().name or actors.current().door,
            reason=reason,
            count=last.seq - start,
            seal=chain.seal(chain.CHECKPOINT, last.seq, last.hash),
        )
        unguarded(AuditCheckpoint).bulk_create([checkpoint])
        entry.on(last.seq, f"rows {start + 1} to {last.seq}")
        entry.says = {"up_to": last.seq, "hash": last.hash, "count": checkpoint.count, "reason": reason}
    return checkpoint


def delete_below(seq: int) -> int:
    """Delete rows up to this one, which a checkpoint covers, in short transactions; how many went."""
    deleted = 0
    while True:
        with transaction.atomic():
            rows = unguarded(AuditEvent).filter(seq__lte=seq).order_by("seq")
            batch = list(rows.values_list("seq", flat=True)[:_BATCH])
            if not batch:
                return deleted
            deleted += unguarded(AuditEvent).filter(seq__lte=batch[-1])._raw_delete("default")


def delete_below_newest() -> int:
    """Go on where deleting was cut off; how many went."""
    cut = AuditCheckpoint.objects.order_by("-seq").first()
    return delete_below(cut.seq) if cut else 0

"""Adding rows to the chain, and what holds it together.

Each row's hash is of its own text and of the hash before. Whoever adds one locks the head until the end of
the transaction, so several at once cannot fork it; they wait for each other, for as long as an act takes to
commit. `audit.acts` adds rows as the last thing of an act, so that nobody who holds the head waits for
anything else. Workers' writes of jobs add none, and so never wait.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import structlog
from django.core import signing
from django.db import transaction

from audit.entries import Entry
from audit.models import HASH_LENGTH, AuditEvent, AuditHead, unguarded
from audit.words import Door

logger = structlog.get_logger(__name__)

FIRST = "0" * HASH_LENGTH
RESEALED = "audit.resealed"
HEAD, CHECKPOINT = "head", "checkpoint"
_TOLD = (
    "The chain's head bore no seal that fits: the SECRET_KEY was changed without a fallback, or somebody "
    "else wrote the rows before this one."
)
# Everything of a row but its own hash, in this order.
HASHED = tuple(field.attname for field in AuditEvent._meta.concrete_fields if field.attname != "hash")


def digest(event: AuditEvent) -> str:
    """The hash that the row should have."""
    values = [_text(getattr(event, name)) for name in HASHED]
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def _text(value: Any) -> str:
    return (
        value.astimezone(UTC).isoformat(timespec="microseconds")
        if isinstance(value, datetime)
        else str(value)
    )


def seal(what: str, seq: int, row_hash: str) -> str:
    """A proof that this program, with its key, said that this row is a `head` or a `checkpoint`."""
    return _signer(what).signature(f"{seq}:{row_hash}")


def is_sealed(what: str, seq: int, row_hash: str, given: str) -> bool:
    """Whether the seal was made with the key of the settings, or one of its fallbacks."""
    try:
        _signer(what).unsign(f"{seq}:{row_hash}:{given}")
    except signing.BadSignature:
        return False
    return True


def _signer(what: str) -> signing.Signer:
    # By purpose: else whoever has seen the seal of a head could make a checkpoint of it.
    return signing.Signer(salt=f"tallyman.audit.{what}")


def append(events: Sequence[AuditEvent]) -> None:
    """Add rows, which lack only their place and hashes, to the chain; call it last in a transaction."""
    with transaction.atomic():
        head, is_ours = _locked_head()
        rows = list(events) if is_ours else [_resealing(), *events]
        seq, before = head.seq, head.hash
        for event in rows:
            seq += 1
            event.seq, event.prev_hash = seq, before
            event.hash = before = digest(event)
        unguarded(AuditEvent).bulk_create(rows)
        unguarded(AuditHead).filter(pk=1).update(seq=seq, hash=before, seal=seal(HEAD, seq, before))
        transaction.on_commit(lambda: _tell(rows), robust=True)


def _locked_head() -> tuple[AuditHead, bool]:
    """The end of the chain, ours until the transaction ends; and whether it bears our seal."""
    heads = unguarded(AuditHead).select_for_update()
    head = heads.filter(pk=1).first()
    if head is None:
        unguarded(AuditHead).bulk_create([AuditHead(hash=FIRST)], ignore_conflicts=True)
        head = heads.get(pk=1)
    if head.seal:
        return head, is_sealed(HEAD, head.seq, head.hash, head.seal)
    newest = AuditEvent.objects.order_by("-seq").first()
    if newest is None:
        return head, True
    # Somebody took the head away. What is there is what can be gone on with.
    head.seq, head.hash = newest.seq, newest.hash
    return head, False


def _resealing() -> AuditEvent:
    return Entry(verb=RESEALED, kind="audit", reason=_TOLD).event()


def _tell(events: Sequence[AuditEvent]) -> None:
    """Into the log, which is kept elsewhere: it knows of rows that somebody deletes here."""
    for event in events:
        # Its person reads the terminal, where a log line would stand among the command's own words.
        if event.door != Door.COMMAND:
            logger.info("audited", seq=event.seq, hash=event.hash, verb=event.verb, door=event.door)

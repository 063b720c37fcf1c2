"""The rows: events in a chain, its head, and the checkpoints where old ones were cut off.

Nothing here is ever changed or deleted by the program, but for rows below a checkpoint (`audit.retention`);
models and querysets refuse it, and so do triggers in the database (migration 0002).
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from django.db import models
from django.db.models.functions import Now

from audit.words import Door, Outcome

HASH_LENGTH = 64
NAME_LENGTH = 200


class AppendOnlyError(Exception):
    """Audit rows are only ever added, by `audit.chain`."""


def _refuse(*_args: Any, **_kwargs: Any) -> NoReturn:
    raise AppendOnlyError(
        "Audit rows are neither changed nor deleted. Old ones go with: manage.py audit prune"
    )


def unguarded(model: type[models.Model]) -> models.QuerySet[Any]:
    """Rows as Django has them, for those who add to the chain or cut it below a checkpoint."""
    rows: models.QuerySet[Any] = models.QuerySet(model)
    return rows


class AppendOnly(models.QuerySet[Any]):
    """Rows to be read."""

    create = get_or_create = update_or_create = bulk_create = staticmethod(_refuse)
    update = bulk_update = delete = _raw_delete = staticmethod(_refuse)


class Unchanging(models.Model):
    """A row that its model neither saves nor deletes."""

    objects = models.Manager.from_queryset(AppendOnly)()

    class Meta:
        abstract = True
        default_permissions = ("view",)

    save = delete = _refuse


class AuditEvent(Unchanging):
    """One act. `seq` has no gaps; `hash` is of the row with `prev_hash`, the hash of the row before.

    `act_id` is one for all that came of one request or command. `object_label` is the name that the object
    had then. `details` is JSON as it was hashed: `before`, `after`, `says`, `reason`; secrets are masked.
    """

    seq = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField()
    act_id = models.UUIDField()
    actor = models.CharField(max_length=NAME_LENGTH, blank=True)
    user_key = models.CharField(max_length=64, blank=True)
    door = models.CharField(max_length=10, choices=Door)
    address = models.CharField(max_length=45, blank=True)
    machine = models.CharField(max_length=NAME_LENGTH, blank=True)
    verb = models.CharField(max_length=60)
    object_kind = models.CharField(max_length=40, blank=True)
    object_key = models.CharField(max_length=64, blank=True)
    object_label = models.CharField(max_length=NAME_LENGTH, blank=True)
    outcome = models.CharField(max_length=10, choices=Outcome)
    details = models.TextField()
    prev_hash = models.CharField(max_length=HASH_LENGTH)
    hash = models.CharField(max_length=HASH_LENGTH)

    class Meta(Unchanging.Meta):
        ordering = ("-seq",)
        constraints = [
            # A fork would need two rows after the same one.
            models.UniqueConstraint(fields=["prev_hash"], name="auditevent_no_fork"),
        ]
        indexes = [
            models.Index(fields=["at"], name="auditevent_at"),
            models.Index(fields=["actor", "seq"], name="auditevent_actor"),
            models.Index(fields=["verb", "seq"], name="auditevent_verb"),
            models.Index(fields=["door", "seq"], name="auditevent_door"),
            models.Index(fields=["outcome", "seq"], name="auditevent_outcome"),
            models.Index(fields=["object_key", "seq"], name="auditevent_object"),
            models.Index(fields=["object_label", "seq"], name="auditevent_label"),
            models.Index(fields=["address", "seq"], name="auditevent_address"),
            models.Index(fields=["act_id", "seq"], name="auditevent_act"),
        ]

    def __str__(self) -> str:
        return f"{self.seq} {self.verb}"

    @property
    def said(self) -> dict[str, Any]:
        """The details, read; empty if somebody wrote what is no JSON."""
        try:
            found = json.loads(self.details)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


class AuditHead(Unchanging):
    """The end of the chain, one row: whoever adds to the chain locks it.

    It is kept apart so that rows which are missing at the end are missed. `seal` is made with the key of the
    settings, which the database does not have.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    seq = models.BigIntegerField(default=0, db_default=0)
    hash = models.CharField(max_length=HASH_LENGTH)
    seal = models.CharField(max_length=HASH_LENGTH, blank=True, default="", db_default="")

    class Meta(Unchanging.Meta):
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="audithead_only_one_row")]

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


class AuditCheckpoint(Unchanging):
    """Somebody signed off that the rows up to `seq` may go; `hash` is of the last of them.

    Only rows up to the newest one can be deleted. The chain goes on with the row after it.
    """

    seq = models.BigIntegerField(primary_key=True)
    hash = models.CharField(max_length=HASH_LENGTH)
    at = models.DateTimeField(db_default=Now())
    signed_by = models.CharField(max_length=NAME_LENGTH)
    reason = models.CharField(max_length=500)
    count = models.BigIntegerField()
    seal = models.CharField(max_length=HASH_LENGTH)

    class Meta(Unchanging.Meta):
        ordering = ("-seq",)

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"

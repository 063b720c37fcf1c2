"""Installation: who we are on every engine's labels, bound to the database that says so."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from hosts.ids import new_id


class Installation(models.Model):
    """One row. `database_identity` tells a restored copy of the database from the original.

    While `paused_at` is set, nobody claims a job on any host: every claim reads it.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    database_identity = models.CharField(max_length=500)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    paused_at = models.DateTimeField(null=True, editable=False)
    paused_by = models.CharField(max_length=150, blank=True, default="", db_default="", editable=False)
    only = models.BooleanField(default=True, unique=True, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(only=True), name="installation_only_one_row")
        ]

    def __str__(self) -> str:
        return str(self.id)

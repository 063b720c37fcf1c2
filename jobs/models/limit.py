"""ConcurrencyLimit: how many jobs of one key may run at once, wherever they run."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from hosts.ids import new_id
from jobs import validators


class ConcurrencyLimit(models.Model):
    """Jobs belong to it by their own `limit_key` or their template's; no row refers to it.

    How many run is counted from the open attempts each time (`jobs.limits`), never kept here.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    key = models.CharField(
        max_length=100,
        unique=True,
        validators=[validators.validate_no_nul],
        help_text="What jobs and templates name as their limit key.",
    )
    max_concurrent = models.PositiveIntegerField(
        help_text="How many of its jobs may run at once on all hosts together; 0: none is started for now."
    )
    note = models.CharField(
        max_length=200, blank=True, default="", db_default="", validators=[validators.validate_no_nul]
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ("key",)
        constraints = [
            models.CheckConstraint(condition=~models.Q(key=""), name="concurrency_limit_key_not_empty"),
        ]

    def __str__(self) -> str:
        return self.key

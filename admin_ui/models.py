"""SavedView: a search somebody wants to come back to."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from hosts.ids import new_id


class SavedView(models.Model):
    """The filters of the list of jobs under a name; `query` is the query of its address, filters only.

    Others see it if it is shared; only its owner changes it.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="saved_views")
    name = models.CharField(max_length=60)
    query = models.CharField(max_length=2000, blank=True, default="", db_default="")
    is_shared = models.BooleanField(default=False, db_default=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ("name", "id")
        constraints = [
            models.UniqueConstraint(fields=["owner", "name"], name="savedview_name_once_an_owner"),
        ]
        indexes = [
            models.Index(fields=["name"], condition=models.Q(is_shared=True), name="savedview_shared"),
        ]

    def __str__(self) -> str:
        return self.name

"""HostCount: how often workers did something on a host that only metrics ask for."""

from __future__ import annotations

from uuid import UUID

from django.db import connection, models
from django.db.models.functions import Now

from hosts.models.host import DockerHost


class Action(models.TextChoices):
    """What the look at an engine's containers came to, beside the daily business."""

    ADOPTED = "adopted", "Adopted an open attempt of a former worker"
    ARCHIVED = "archived", "Archived the container of a job that was declared lost"
    CLEANED = "cleaned", "Removed what an ended attempt or a deleted job left"
    PINNED = "pinned", "Sent a waiting job to the host that has its container"
    ORPHAN = "orphan", "Found a container without a row"
    REAPED = "reaped", "Stopped or removed a container without a row"


class HostCount(models.Model):
    """One count. It is no part of any promise: a worker that dies may leave one out."""

    host = models.ForeignKey(DockerHost, on_delete=models.CASCADE, related_name="counts")
    action = models.CharField(max_length=10, choices=Action)
    count = models.BigIntegerField()
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["host", "action"], name="hostcount_once")]

    def __str__(self) -> str:
        return f"{self.action} {self.count}"


def count(host_id: UUID, action: Action, times: int = 1) -> None:
    """Add to the count of an action, in one statement; nothing happens for none."""
    if times < 1:
        return
    key = DockerHost._meta.pk.get_db_prep_value(host_id, connection)
    table = HostCount._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} (host_id, action, count) VALUES (%s, %s, %s) "
            f"ON CONFLICT (host_id, action) DO UPDATE SET count = {table}.count + excluded.count, "
            "at = CURRENT_TIMESTAMP",
            [key, action.value, times],
        )

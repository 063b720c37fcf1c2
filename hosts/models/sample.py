"""HostSample: what a host's machine was doing at a moment."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from hosts.models.host import DockerHost


class HostSample(models.Model):
    """One reading; None where the engine does not tell."""

    host = models.ForeignKey(DockerHost, on_delete=models.CASCADE, related_name="samples")
    at = models.DateTimeField(db_default=Now(), db_index=True)
    jobs_running = models.PositiveIntegerField()
    slots = models.PositiveIntegerField()
    containers_running = models.PositiveIntegerField(null=True)
    # Of the whole machine; known of engines on the worker's own machine only.
    cpu_percent = models.FloatField(null=True)
    memory_used_bytes = models.BigIntegerField(null=True)
    disk_free_bytes = models.BigIntegerField(null=True)

    class Meta:
        ordering = ("-at",)
        indexes = [models.Index(fields=["host", "-at"], name="hostsample_host_at")]

    def __str__(self) -> str:
        return f"{self.host_id} at {self.at}"

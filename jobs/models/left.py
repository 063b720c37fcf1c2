"""LeftContainer: what an engine may still have of a job that was deleted."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from hosts.models import DockerHost


class LeftContainer(models.Model):
    """Written when the job is deleted; it goes when the host's engine has no container of it any more."""

    host = models.ForeignKey(DockerHost, on_delete=models.CASCADE, related_name="+")
    job_id = models.UUIDField()
    at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.job_id} on {self.host_id}"

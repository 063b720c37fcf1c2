"""HostRequest: what somebody asked of a host, and what its worker answered."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from hosts.ids import new_id
from hosts.models.host import DockerHost


class RequestVerb(models.TextChoices):
    """What can be asked of a worker.

    A restart is carried out by its supervisor, for a worker may be down; so is the test step by step, by a
    process of its own (`supervisor.examiner`), for a host that is switched off has no worker.
    """

    TEST = "test", "Test the connection"
    EXAMINE = "examine", "Test the connection step by step"
    RESTART = "restart", "Restart the worker"
    PAUSE = "pause", "Take no new jobs"
    RESUME = "resume", "Take jobs again"
    REAP = "reap", "Remove containers without a row"


# Not for the worker that holds the host.
OF_SUPERVISORS = (RequestVerb.RESTART, RequestVerb.EXAMINE)


class HostRequest(models.Model):
    """An intent: written by a page or command, carried out by the worker that holds the host.

    `steps` is what a test step by step has found so far: an object for each, as `hosts.examination.Found`.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    host = models.ForeignKey(DockerHost, on_delete=models.CASCADE, related_name="requests")
    verb = models.CharField(max_length=20, choices=RequestVerb)
    args = models.JSONField(default=dict, blank=True, db_default={})
    by = models.CharField(max_length=150, blank=True, default="", db_default="")
    at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField()
    taken_at = models.DateTimeField(null=True)
    done_at = models.DateTimeField(null=True)
    ok = models.BooleanField(null=True)
    result = models.TextField(blank=True, default="", db_default="")
    steps = models.JSONField(default=list, blank=True, db_default=[])

    class Meta:
        ordering = ("-at",)
        indexes = [
            models.Index(fields=["host", "at"], condition=models.Q(done_at=None), name="hostrequest_open"),
            models.Index(fields=["host", "-at"], name="hostrequest_of_host"),
        ]

    def __str__(self) -> str:
        return f"{self.verb} {self.host_id}"

"""JobEvent: a job's timeline. Tally: ended attempts, counted as they end."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from jobs.models.job import ContainerJob
from jobs.states import Outcome


class JobEvent(models.Model):
    """One line of a job's timeline: what changed, when, by whom and why. Never a secret."""

    job = models.ForeignKey(ContainerJob, on_delete=models.CASCADE, related_name="events")
    attempt_number = models.PositiveIntegerField(null=True)
    at = models.DateTimeField(db_default=Now())
    kind = models.CharField(max_length=30)
    message = models.TextField(blank=True, default="", db_default="")
    who = models.CharField(max_length=150, blank=True, default="", db_default="")

    class Meta:
        ordering = ("at", "id")
        indexes = [models.Index(fields=["job", "at"], name="jobevent_job_at")]

    def __str__(self) -> str:
        return f"{self.kind} {self.job_id}"


class Tally(models.Model):
    """Attempts that ended in one minute, per host, template and outcome; written with each end.

    `seconds` is run time in all; the `within_` columns count attempts by run time, each apart.
    """

    minute = models.DateTimeField()
    host_name = models.CharField(max_length=100)
    template_name = models.CharField(max_length=100)
    outcome = models.CharField(max_length=12, choices=Outcome)
    count = models.PositiveIntegerField()
    seconds = models.FloatField()
    log_bytes = models.BigIntegerField()
    within_1s = models.PositiveIntegerField()
    within_10s = models.PositiveIntegerField()
    within_1m = models.PositiveIntegerField()
    within_10m = models.PositiveIntegerField()
    within_1h = models.PositiveIntegerField()
    beyond_1h = models.PositiveIntegerField()

    class Meta:
        ordering = ("-minute",)
        verbose_name_plural = "tallies"
        constraints = [
            models.UniqueConstraint(
                fields=["minute", "host_name", "template_name", "outcome"], name="tally_once_a_minute"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.minute} {self.outcome}"

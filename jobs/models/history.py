"""JobEvent: a job's timeline. Tally, TallySum: ended attempts, counted as they end."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from jobs.models.job import ContainerJob
from jobs.states import Outcome


class JobEvent(models.Model):
    """One line of a job's timeline: what changed, when, by whom and why. Never a secret."""

    job = models.ForeignKey(ContainerJob, on_delete=models.CASCADE, related_name="events", db_index=False)
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


class Counts(models.Model):
    """Ended attempts of a host, template and outcome, counted.

    `seconds` is run time in all; the `within_` columns count attempts by run time, each apart.
    """

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
        abstract = True


class Tally(Counts):
    """Attempts that ended in one minute; written with each end."""

    minute = models.DateTimeField()

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


class TallySum(Counts):
    """What the tallies came to that retention has deleted: totals never fall."""

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["host_name", "template_name", "outcome"], name="tallysum_once"),
        ]

    def __str__(self) -> str:
        return f"{self.host_name} {self.template_name} {self.outcome}"

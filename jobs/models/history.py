"""JobEvent: a job's timeline. Tally, TallySum, HourTally: ended attempts, counted as they end."""

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
    """Ended attempts of a template and outcome, counted.

    `seconds` is run time in all; the `within_` columns count attempts by run time, each apart.
    """

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


class HostCounts(Counts):
    """The same, of each host apart."""

    host_name = models.CharField(max_length=100)

    class Meta:
        abstract = True


class Tally(HostCounts):
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


class TallySum(HostCounts):
    """What the tallies came to that retention has deleted: totals never fall."""

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["host_name", "template_name", "outcome"], name="tallysum_once"),
        ]

    def __str__(self) -> str:
        return f"{self.host_name} {self.template_name} {self.outcome}"


class HourTally(Counts):
    """The tallies of an hour that is long over, of all hosts together; written by a clerk.

    With many hosts and templates nearly each end is a tally of its own: whoever wants a week reads these.
    Where the newest of them stands, everything before is summed up; see `jobs.trends`.
    """

    hour = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["hour", "template_name", "outcome"], name="hourtally_once"),
        ]

    def __str__(self) -> str:
        return f"{self.hour} {self.template_name} {self.outcome}"

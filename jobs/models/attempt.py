"""Attempt: one launch of a job. It runs once and never goes back; a retry is another attempt."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Coalesce, Now

from hosts.ids import new_id
from hosts.models import DockerHost
from jobs.models.job import ContainerJob
from jobs.states import SLOT_HOLDING, AttemptState, Outcome, StopReason

_NOT_ENDED = ~models.Q(state="ended")


class AttemptQuerySet(models.QuerySet["Attempt"]):
    """The words other layers ask for attempts in."""

    def open(self) -> AttemptQuerySet:
        """Attempts that have not ended."""
        return self.exclude(state=AttemptState.ENDED)

    def holding_slots(self) -> AttemptQuerySet:
        """Attempts that count against their host's room."""
        return self.filter(state__in=SLOT_HOLDING)


def held_slots() -> Coalesce:
    """How many slots of a host are taken, as an annotation of a query over hosts.

    By way of the index of open attempts: a join would read every attempt that the host ever had.
    """
    held = Attempt.objects.open().holding_slots().filter(host=models.OuterRef("pk")).order_by()
    count = held.values("host").annotate(count=models.Count("pk")).values("count")
    return Coalesce(models.Subquery(count, output_field=models.IntegerField()), 0)


class Attempt(models.Model):
    """Written only by guarded updates: primary key, epoch and state decide, the row count tells.

    `spec` is the container as it was frozen when claimed, with secrets as references. `log_cursor` is the
    engine's time of the newest stored log frame (RFC 3339, nanoseconds), `next_seq` the next chunk's number.
    `stdout_bytes` and its like count what was taken from the engine, the `log_gap_bytes` of payload that the
    cap left out between head and tail included. `phase` says what a long step is doing (how far a pull is);
    `worker_kills` counts the workers that crashed while they handled this attempt. `measured` is what the
    readings of its container so far come to (`jobs.usage`); None before the first.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    # Found by the unique (job, number): an index of its own would be one more to write to.
    job = models.ForeignKey(ContainerJob, on_delete=models.CASCADE, related_name="attempts", db_index=False)
    number = models.PositiveIntegerField()
    # Found by attempt_open_on_host and attempt_ended_on_host, each with its condition.
    host = models.ForeignKey(DockerHost, on_delete=models.PROTECT, related_name="attempts", db_index=False)
    host_name = models.CharField(max_length=100)
    epoch = models.BigIntegerField()
    state = models.CharField(max_length=10, choices=AttemptState, default=AttemptState.CLAIMED)
    outcome = models.CharField(max_length=12, choices=Outcome, blank=True, default="", db_default="")
    spec = models.JSONField(default=dict)
    container_name = models.CharField(max_length=200)
    container_id = models.CharField(max_length=200, blank=True, default="", db_default="")
    # The container that is being deleted because it was found unstarted; whether it was is not proved yet.
    discarding_id = models.CharField(max_length=200, blank=True, default="", db_default="")
    image_digest = models.CharField(max_length=500, blank=True, default="", db_default="")
    stop_reason = models.CharField(max_length=12, choices=StopReason, blank=True, default="", db_default="")
    phase = models.CharField(max_length=200, blank=True, default="", db_default="")
    worker_kills = models.PositiveSmallIntegerField(default=0, db_default=0)
    exit_code = models.IntegerField(null=True)
    oom_killed = models.BooleanField(default=False, db_default=False)
    failure_class = models.CharField(max_length=50, blank=True, default="", db_default="")
    failure_message = models.TextField(blank=True, default="", db_default="")
    failure_hint = models.TextField(blank=True, default="", db_default="")
    unknown_since_at = models.DateTimeField(null=True)

    claimed_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    deadline_at = models.DateTimeField(null=True)
    stopping_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    log_cursor = models.CharField(max_length=30, blank=True, default="", db_default="")
    next_seq = models.PositiveIntegerField(default=0, db_default=0)
    stdout_bytes = models.BigIntegerField(default=0, db_default=0)
    stderr_bytes = models.BigIntegerField(default=0, db_default=0)
    stdout_lines = models.BigIntegerField(default=0, db_default=0)
    stderr_lines = models.BigIntegerField(default=0, db_default=0)
    log_gap_bytes = models.BigIntegerField(default=0, db_default=0)
    logs_complete = models.BooleanField(default=False, db_default=False)
    measured = models.JSONField(null=True)
    logs_note = models.CharField(max_length=200, blank=True, default="", db_default="")
    # Somebody looks at the log, until then at least (`jobs.log_watch`): it is stored without delay.
    watched_until = models.DateTimeField(null=True, editable=False)
    # For retention (`jobs.retention`): since when it has no stored log and no container any more.
    logs_deleted_at = models.DateTimeField(null=True, editable=False)
    container_gone_at = models.DateTimeField(null=True, editable=False)

    objects = AttemptQuerySet.as_manager()

    class Meta:
        ordering = ("-claimed_at",)
        constraints = [
            models.UniqueConstraint(fields=["job", "number"], name="attempt_number_once_a_job"),
            models.UniqueConstraint(fields=["job"], condition=_NOT_ENDED, name="attempt_one_open_a_job"),
            models.CheckConstraint(
                condition=models.Q(state="ended", outcome__gt="")
                | models.Q(~models.Q(state="ended"), outcome=""),
                name="attempt_outcome_with_the_end",
            ),
        ]
        # The conditions of the last two are such that SQLite sees them in queries with parameters, too.
        indexes = [
            # Without the state: what moves from one to the next is not to be written to every index again.
            models.Index(fields=["host"], condition=_NOT_ENDED, name="attempt_open_on_host"),
            models.Index(
                fields=["ended_at"],
                condition=models.Q(ended_at__isnull=False, logs_deleted_at=None),
                name="attempt_has_log",
            ),
            models.Index(
                fields=["host", "ended_at"],
                condition=models.Q(ended_at__isnull=False, container_gone_at=None),
                name="attempt_has_container",
            ),
            # Ids grow with time: the newest of a host first.
            models.Index(
                fields=["host", "-id"],
                condition=models.Q(ended_at__isnull=False),
                name="attempt_ended_on_host",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.job_id} attempt {self.number}"

"""What a job said and used, in the form people read first."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from jobs.models.attempt import Attempt
from jobs.models.job import ContainerJob


class ContainerExecution(models.Model):
    """The last attempt's log excerpts and totals, written with its end. Whole logs are in LogChunk.

    Texts hold the start and the end of what was written, as text: bytes that are no UTF-8, and NUL, replaced.
    Measures are None where the engine did not tell, or the run was too short to be sampled.
    """

    job = models.OneToOneField(
        ContainerJob, on_delete=models.CASCADE, primary_key=True, related_name="execution"
    )
    attempt_number = models.PositiveIntegerField()
    stdout = models.TextField(blank=True, default="", db_default="")
    stderr = models.TextField(blank=True, default="", db_default="")
    docker_log = models.TextField(blank=True, default="", db_default="")
    stdout_bytes = models.BigIntegerField(default=0, db_default=0)
    stderr_bytes = models.BigIntegerField(default=0, db_default=0)
    peak_memory_bytes = models.BigIntegerField(null=True)
    average_memory_bytes = models.BigIntegerField(null=True)
    cpu_seconds = models.FloatField(null=True)
    network_rx_bytes = models.BigIntegerField(null=True)
    network_tx_bytes = models.BigIntegerField(null=True)
    block_read_bytes = models.BigIntegerField(null=True)
    block_write_bytes = models.BigIntegerField(null=True)
    peak_pids = models.PositiveIntegerField(null=True)
    updated_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return str(self.job_id)


class UsageSample(models.Model):
    """One reading of a running container; counters grow from its start."""

    attempt = models.ForeignKey(Attempt, on_delete=models.CASCADE, related_name="usage_samples")
    at = models.DateTimeField(db_default=Now())
    memory_bytes = models.BigIntegerField(null=True)
    cpu_seconds = models.FloatField(null=True)
    network_rx_bytes = models.BigIntegerField(null=True)
    network_tx_bytes = models.BigIntegerField(null=True)
    block_read_bytes = models.BigIntegerField(null=True)
    block_write_bytes = models.BigIntegerField(null=True)
    pids = models.PositiveIntegerField(null=True)

    class Meta:
        ordering = ("at",)
        indexes = [models.Index(fields=["attempt", "at"], name="usagesample_attempt_at")]

    def __str__(self) -> str:
        return f"{self.attempt_id} at {self.at}"

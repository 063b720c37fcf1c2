"""LogChunk: a piece of a container's log, byte for byte as its engine sent it."""

from __future__ import annotations

from django.db import models

from jobs.models.attempt import Attempt


class LogChunk(models.Model):
    """Whole frames (see `hosts.executors.log_source.LogSource`), zlib-compressed, cut at 256 KiB or 1 s.

    `raw_bytes` is the size before compression; the `_before` counters say how many bytes and lines of each
    stream the attempt's earlier chunks hold, so that any place in a log is found by index.
    """

    attempt = models.ForeignKey(Attempt, on_delete=models.CASCADE, related_name="log_chunks")
    seq = models.PositiveIntegerField()
    data = models.BinaryField()
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    raw_bytes = models.PositiveIntegerField()
    stdout_bytes_before = models.BigIntegerField()
    stderr_bytes_before = models.BigIntegerField()
    stdout_lines_before = models.BigIntegerField()
    stderr_lines_before = models.BigIntegerField()

    class Meta:
        ordering = ("attempt", "seq")
        constraints = [
            models.UniqueConstraint(fields=["attempt", "seq"], name="logchunk_seq_once_an_attempt")
        ]

    def __str__(self) -> str:
        return f"{self.attempt_id} chunk {self.seq}"

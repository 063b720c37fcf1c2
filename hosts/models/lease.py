"""HostLease: the right to act on a host until a moment; its epoch is the fencing token of every write."""

from __future__ import annotations

from django.db import models

from hosts.models.host import DockerHost


class HostLease(models.Model):
    """One row a host. Changed only by `hosts.leases`."""

    host = models.OneToOneField(DockerHost, on_delete=models.CASCADE, primary_key=True, related_name="lease")
    epoch = models.BigIntegerField(default=0, db_default=0)
    owner = models.UUIDField(null=True)
    machine = models.CharField(max_length=200, blank=True, default="", db_default="")
    boot_id = models.CharField(max_length=64, blank=True, default="", db_default="")
    pid_namespace = models.CharField(max_length=64, blank=True, default="", db_default="")
    pid = models.PositiveIntegerField(null=True)
    start_ticks = models.BigIntegerField(null=True)
    acquired_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    released_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.host_id} epoch {self.epoch}"

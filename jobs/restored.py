"""Pending jobs that have a container already: their rows come from a backup that is older than it."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from django.db import transaction
from django.db.models import Exists
from django.db.models.functions import Now

from hosts.leases import Lease
from hosts.models import DockerHost, HostLease
from jobs.models import ContainerJob, JobEvent


def send_to_container(jobs: Collection[UUID], host: DockerHost, lease: Lease, *, who: str) -> list[UUID]:
    """Pin those of the jobs that wait for any host to the one that has their container; which they were.

    Claimed there, a job finds its container by its name, and is adopted or harvested; anywhere else it
    would run a second time. Nothing changes once the lease is not ours any more.
    """
    ours = HostLease.objects.filter(host=host, epoch=lease.epoch, owner=lease.owner)
    waiting = ContainerJob.objects.pending().filter(Exists(ours), docker_host=None)
    with transaction.atomic():
        found = waiting.filter(pk__in=jobs).values_list("pk", flat=True)
        pinned = [key for key in found if waiting.filter(pk=key).update(docker_host=host)]
        message = f"to {host.name}, which has its container: this row is older than that"
        JobEvent.objects.bulk_create(
            JobEvent(job_id=key, kind="pinned", message=message, who=who, at=Now()) for key in pinned
        )
    return pinned

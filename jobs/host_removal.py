"""Taking a host out of use for good, in order. See `jobs.declare_lost` for one that will never answer."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now

from hosts import leases, wakeups
from hosts.audited import HOST
from hosts.models import DockerHost
from hosts.operations import HostRefused
from jobs.models import Attempt, ContainerJob


@HOST.act("remove", fields=("is_active", "archived_at"), tell="deleted")
def remove(host_id: UUID) -> bool:
    """Delete a host that never had a job, else archive it. True: deleted; False: archived."""
    with transaction.atomic():
        # Locked against claims, so that none can slip in between the look and the end.
        leases.lock(host_id)
        host = DockerHost.objects.get(pk=host_id)
        _refuse_if_in_use(host)
        if not host.attempts.exists() and not host.pinned_jobs.exists():
            host.delete()
            return True
        DockerHost.objects.filter(pk=host_id).update(is_active=False, archived_at=Now())
        wakeups.notify(host_id)
    return False


def _refuse_if_in_use(host: DockerHost) -> None:
    attempts = Attempt.objects.open().filter(host=host).count()
    if attempts:
        raise HostRefused(
            f"Host {host.name} has {attempts} open job(s). Drain it and wait, or cancel them; "
            "if it will never answer again, use declare-lost."
        )
    pending = ContainerJob.objects.pending().filter(docker_host=host).count()
    if pending:
        raise HostRefused(
            f"Host {host.name} has {pending} pending job(s) that may run nowhere else; cancel them first."
        )

"""Which host should take a job that any host may take.

There is no global lock and no central scheduler: each worker claims for itself, and stands back for
`claims.STAND_BACK_SECONDS` at most while a better host could take the job.
"""

from __future__ import annotations

from datetime import timedelta

from django.db.models import F, Q
from django.db.models.functions import Now

from hosts.models import DockerHost, HostState
from jobs.models import held_slots

_FRESH = timedelta(seconds=45)


def better_host_exists(host: DockerHost, *, free: int) -> bool:
    """Whether a host that can be counted on is heavier, or as heavy with more room than `free` slots."""
    others = (
        DockerHost.objects.claiming()
        .exclude(pk=host.pk)
        .filter(
            weight__gte=host.weight,
            state=HostState.ONLINE,
            seen_at__gt=Now() - _FRESH,
            lease__released_at=None,
            lease__expires_at__gt=Now(),
        )
        .annotate(free=F("max_concurrent_jobs") - held_slots())
        .filter(free__gt=0)
    )
    return others.filter(Q(weight__gt=host.weight) | Q(free__gt=free)).exists()

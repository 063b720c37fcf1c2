"""What keeps a host from taking jobs: one word for machines; `jobs.reasons` says it in a sentence."""

from __future__ import annotations

from enum import StrEnum

from django.db.models import Exists, F, OuterRef, QuerySet
from django.db.models.functions import Now

from hosts.models import Availability, DockerHost, HostLease, HostState
from jobs.models import held_slots


class Obstacle(StrEnum):
    """Why a host takes no job now. The first that applies, in this order, is the one that is told."""

    SWITCHED_OFF = "host_switched_off"
    CORDONED = "host_cordoned"
    PARKED = "host_parked"
    NO_WORKER = "host_without_worker"
    UNREACHABLE = "host_unreachable"
    FULL = "host_full"


def hosts() -> QuerySet[DockerHost]:
    """All hosts, heaviest first, each with what `obstacle` needs: `held` slots, and `is_held` by a worker."""
    leases = HostLease.objects.filter(
        host=OuterRef("pk"), owner__isnull=False, released_at=None, expires_at__gt=Now()
    )
    found = DockerHost.objects.defer("secret_config").annotate(held=held_slots(), is_held=Exists(leases))
    return found.order_by(F("weight").desc(), "name")


def obstacle(host: DockerHost) -> Obstacle | None:
    """Why a host of `hosts` takes nothing now; None if it does."""
    held: int = host.held  # type: ignore[attr-defined]  # annotated
    is_held: bool = host.is_held  # type: ignore[attr-defined]  # annotated
    applies = {
        Obstacle.SWITCHED_OFF: not host.is_active or host.archived_at is not None,
        Obstacle.CORDONED: host.availability != Availability.ACTIVE,
        Obstacle.PARKED: host.state == HostState.PARKED,
        Obstacle.NO_WORKER: not is_held,
        Obstacle.UNREACHABLE: host.state != HostState.ONLINE,
        Obstacle.FULL: held >= host.max_concurrent_jobs,
    }
    return next((what for what, is_so in applies.items() if is_so), None)

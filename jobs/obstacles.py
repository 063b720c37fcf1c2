"""What keeps a host from taking jobs: one word for machines; `jobs.reasons` says it in a sentence."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from django.db.models import Exists, F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Now

from hosts.models import ANSWERING, Availability, DockerHost, HostLease, HostState, Installation
from jobs.models import held_slots


class Obstacle(StrEnum):
    """Why a host takes no job now. The first that applies, in this order, is the one that is told."""

    PAUSED = "paused"
    SWITCHED_OFF = "host_switched_off"
    CORDONED = "host_cordoned"
    PARKED = "host_parked"
    NO_WORKER = "host_without_worker"
    UNREACHABLE = "host_unreachable"
    FULL = "host_full"


def hosts() -> QuerySet[DockerHost]:
    """All hosts, heaviest first, each with what `obstacle` needs.

    That is `held` slots, `is_held` by a worker, and since when and by whom all claims are paused, if so.
    """
    leases = HostLease.objects.filter(
        host=OuterRef("pk"), owner__isnull=False, released_at=None, expires_at__gt=Now()
    )
    pause = Installation.objects.exclude(paused_at=None)
    found = DockerHost.objects.defer("secret_config").annotate(
        held=held_slots(),
        is_held=Exists(leases),
        paused_at=Subquery(pause.values("paused_at")[:1]),
        paused_by=Subquery(pause.values("paused_by")[:1]),
    )
    return found.order_by(F("weight").desc(), "name")


def obstacle(host: DockerHost) -> Obstacle | None:
    """Why a host of `hosts` takes nothing now; None if it does."""
    paused_at: datetime | None = host.paused_at  # type: ignore[attr-defined]  # annotated
    return Obstacle.PAUSED if paused_at is not None else own_obstacle(host)


def own_obstacle(host: DockerHost) -> Obstacle | None:
    """Why it would take nothing even if claims were not paused."""
    held: int = host.held  # type: ignore[attr-defined]  # annotated
    is_held: bool = host.is_held  # type: ignore[attr-defined]  # annotated
    applies = {
        Obstacle.SWITCHED_OFF: not host.is_active or host.archived_at is not None,
        Obstacle.CORDONED: host.availability != Availability.ACTIVE,
        Obstacle.PARKED: host.state == HostState.PARKED,
        Obstacle.NO_WORKER: not is_held,
        Obstacle.UNREACHABLE: host.state not in ANSWERING,
        Obstacle.FULL: held >= host.max_concurrent_jobs,
    }
    return next((what for what, is_so in applies.items() if is_so), None)

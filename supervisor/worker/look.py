"""One statement that tells an idle worker whether there is anything new for it in the database.

A worker looks every few seconds, for ever, and nearly always in vain. Only where something is new the ORM is
asked what it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Exists
from django.db.models.functions import Now

from hosts.kept import KeptQuery
from hosts.leases import Lease
from hosts.models import DockerHost, HostLease, HostRequest
from jobs.models import Attempt, ContainerJob

# All that somebody else may write of a host.
_SETTINGS = (
    "name",
    "executor_type",
    "connection_string",
    "executor_config",
    "secret_config",
    "weight",
    "max_concurrent_jobs",
    "is_active",
    "availability",
    "archived_at",
    "engine_id",
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look found. `settings` is the host's row as the driver reads it, to be compared only."""

    settings: tuple[Any, ...]
    has_lease: bool
    has_attempts: bool
    has_requests: bool
    has_jobs: bool


class Look:
    """For one lease: whether it is ours still, and whether the host has attempts, requests, or jobs."""

    def __init__(self, lease: Lease) -> None:
        mine = {"host_id": lease.host_id, "epoch": lease.epoch}
        pending = ContainerJob.objects.pending().filter(hold="")
        lease_of_ours = HostLease.objects.filter(**mine, owner=lease.owner, released_at=None)
        requests = HostRequest.objects.filter(host_id=lease.host_id, done_at=None, expires_at__gt=Now())
        # Two of them, and no OR: each is answered by the index of claimable jobs.
        self._query = KeptQuery(
            DockerHost.objects.filter(pk=lease.host_id).values_list(
                *_SETTINGS,
                Exists(lease_of_ours),
                Exists(Attempt.objects.filter(**mine).open()),
                Exists(requests),
                Exists(pending.filter(docker_host=lease.host_id)),
                Exists(pending.filter(docker_host=None)),
            )
        )

    def take(self) -> Seen | None:
        """Look; None if the host's row is gone."""
        rows = self._query.rows()
        if not rows:
            return None
        *settings, lease, attempts, requests, pinned, shared = rows[0]
        return Seen(tuple(settings), bool(lease), bool(attempts), bool(requests), bool(pinned or shared))

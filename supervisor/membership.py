"""Who else supervises this installation, and how each host stands: what `supervisor.sharing` decides from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q
from django.db.models.functions import Now

from hosts import identity, leases
from hosts.kept import KeptQuery
from hosts.models import DockerHost, HostLease, HostState
from supervisor.models import DRAINING, Down, Role, SupervisorProcess
from supervisor.processes import Known
from supervisor.sharing import Sight

# Another machine's socket, or Docker configuration, is another engine.
_LOCAL_URLS = ("unix://", "context://")


@dataclass(frozen=True, slots=True)
class Colleagues:
    """The living supervisors: how many hosts each has, which hosts that are not ours, and where they live."""

    counts: dict[UUID, int]
    taken: frozenset[UUID]
    machines: Counter[str]


NOBODY = Colleagues(counts={}, taken=frozenset(), machines=Counter())


def anybody_else(me: UUID) -> KeptQuery:
    """Whether there may be colleagues at all, for a look that costs next to nothing."""
    masters = SupervisorProcess.objects.alive().filter(role=Role.MASTER).exclude(supervisor=me)
    return KeptQuery(masters.order_by().values_list("pk")[:1])


def colleagues(me: UUID) -> Colleagues:
    """Read them; those that are draining take nothing, and so have no share."""
    rows = SupervisorProcess.objects.alive().filter(role__in=[Role.MASTER, Role.WORKER])
    others = list(rows.exclude(supervisor=me))
    living = {
        row.supervisor: row.machine
        for row in others
        if row.role == Role.MASTER and row.state != DRAINING and not row.identity.is_proved_dead()
    }
    theirs = [row for row in others if row.role == Role.WORKER and row.supervisor in living]
    counts = Counter(row.supervisor for row in theirs)
    return Colleagues(
        counts={member: counts[member] for member in living},
        taken=frozenset(row.host_id for row in theirs if row.host_id),
        machines=Counter(living.values()),
    )


def sights(hosts: Collection[DockerHost], others: Colleagues, ours: Sequence[Known]) -> dict[UUID, Sight]:
    """How each host stands, seen by a supervisor whose processes are `ours`.

    For one that is alone everything is free: whoever else may hold a host, its worker waits for it.
    """
    if not others.counts:
        return {host.pk: Sight(is_free=True) for host in hosts}
    here, pids = identity.current().machine, {(known.pid, known.start_ticks) for known in ours}
    # What is wrong with such a host's settings is wrong everywhere.
    parked = {known.host_id for known in ours if known.state == Down.PARKED}
    there_are_others_here = others.machines[here] > 0
    leases_of = _leases([host.pk for host in hosts])
    found = {}
    for host in hosts:
        lease, is_expired = leases_of.get(host.pk, (HostLease(host=host), False))
        is_local = _is_local(host)
        is_here = lease.machine == here
        is_ours = is_here and not lease.released_at and (lease.pid or 0, lease.start_ticks or 0) in pids
        # Whose worker did not renew in time has lost it, whether its supervisor knows or not.
        has_run_out = is_expired and lease.owner is not None and lease.released_at is None
        is_left_alone = has_run_out or host.pk not in others.taken
        found[host.pk] = Sight(
            is_ours=is_ours,
            is_free=leases.is_free(lease, is_expired=is_expired) and is_left_alone,
            is_away=_is_away(host, is_local) and host.pk not in parked,
            is_bound=is_local and not is_here and lease.machine in others.machines,
            is_ours_alone=is_local and is_here and not there_are_others_here,
        )
    return found


def _is_local(host: DockerHost) -> bool:
    if host.executor_type == "docker" and not host.base_url:
        return True
    return host.executor_type == "process" or host.base_url.startswith(_LOCAL_URLS)


def _is_away(host: DockerHost, is_local: bool) -> bool:
    """Whether another supervisor may have better luck: another machine's socket is another engine."""
    return host.state == HostState.UNREACHABLE or (host.state == HostState.PARKED and is_local)


def _leases(hosts: Collection[UUID]) -> dict[UUID, tuple[HostLease, bool]]:
    rows = HostLease.objects.filter(host_id__in=hosts).annotate(is_expired=Q(expires_at__lte=Now()))
    return {row.host_id: (row, bool(row.is_expired)) for row in rows}

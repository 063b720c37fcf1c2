"""Who else supervises this installation, and how each host stands: what `supervisor.sharing` decides from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q
from django.db.models.functions import Now

from hosts import identity, leases
from hosts.models import DockerHost, HostLease, HostState
from jobs.models import Attempt
from supervisor.models import DRAINING, Role, SupervisorProcess
from supervisor.processes import Known
from supervisor.sharing import Sight

_AWAY = {HostState.UNREACHABLE, HostState.PARKED}
_LOCAL_URLS = ("unix://", "npipe://")


@dataclass(frozen=True, slots=True)
class Colleagues:
    """The living supervisors: how many hosts each has, which hosts that are not ours, and where they live."""

    counts: dict[UUID, int]
    taken: frozenset[UUID]
    machines: Counter[str]


def hosts_to_work(names: Sequence[str]) -> list[DockerHost]:
    """Hosts that shall have a worker, and those switched off that still have an open attempt."""
    busy = Attempt.objects.open().values("host_id")
    wanted = DockerHost.objects.filter(Q(is_active=True, archived_at=None) | Q(pk__in=busy))
    if names:
        wanted = wanted.filter(name__in=names)
    expired = Q(lease__expires_at__lte=Now())
    return list(wanted.select_related("lease").annotate(is_expired=expired).defer("secret_config"))


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


def sights(hosts: Iterable[DockerHost], others: Colleagues, ours: Sequence[Known]) -> dict[UUID, Sight]:
    """How each host stands, seen by a supervisor whose processes are `ours`."""
    here = identity.current()
    pids = {(known.pid, known.start_ticks) for known in ours}
    found = {}
    for host in hosts:
        lease = _lease(host)
        machine = lease.machine
        is_ours = (lease.pid or 0, lease.start_ticks or 0) in pids and machine == here.machine
        expired: bool | None = host.is_expired  # type: ignore[attr-defined]  # annotated
        is_local = host.executor_type == "process" or host.base_url.startswith(_LOCAL_URLS)
        alone_there = not others.machines[here.machine]
        found[host.pk] = Sight(
            is_ours=is_ours and not lease.released_at,
            is_free=leases.is_free(lease, is_expired=bool(expired)) and host.pk not in others.taken,
            is_away=host.state in _AWAY,
            is_bound=is_local and machine not in {"", here.machine} and machine in others.machines,
            is_ours_alone=is_local and machine == here.machine and alone_there,
        )
    return found


def _lease(host: DockerHost) -> HostLease:
    try:
        return host.lease
    except HostLease.DoesNotExist:
        return HostLease(host=host)

"""Why each pending job waits, written in few statements and only where it changed. Clerk only."""

from __future__ import annotations

from django.db.models import F, Q
from django.db.models.functions import Now

from hosts.models import Availability, DockerHost, HostState
from jobs.models import ContainerJob, held_slots
from jobs.models.job import Hold

_MAX_LENGTH = ContainerJob._meta.get_field("pending_reason").max_length


def write() -> int:
    """Bring `pending_reason` up to date; how many jobs got another one."""
    if not ContainerJob.objects.pending().exists():
        return 0
    changed = 0
    pending = ContainerJob.objects.pending()
    for hold in (Hold.STOPPED, Hold.RESTART):
        changed += _set(pending.filter(hold=hold), str(hold.label))
    free = pending.filter(hold="")
    later = Q(not_before_at__gt=Now())
    changed += _set(free.filter(later), "Waits before it is tried again")
    due = free.exclude(later)
    hosts = _hosts()
    for host in hosts:
        changed += _set(
            due.filter(docker_host_id=host.pk), f"Host {host.name} {host_reason(host) or _taken(host)}"
        )
    return changed + _set(due.filter(docker_host=None), shared_reason(hosts))


def host_reason(host: DockerHost) -> str:
    """Why the host takes nothing at all; empty if it does."""
    if not host.is_active or host.archived_at:
        return "is switched off"
    if host.availability != Availability.ACTIVE:
        return f"is {host.availability}"
    if host.state == HostState.UNKNOWN:
        return "has not been seen yet; is a supervisor running?"
    if host.state != HostState.ONLINE:
        return f"is {host.state}: {host.state_reason}"
    return ""


def shared_reason(hosts: list[DockerHost]) -> str:
    """Why a job that any host may take is not taken."""
    hosts = [host for host in hosts if not host.archived_at]
    if not hosts:
        return "There is no host; add one with manage_docker_host add"
    closed = [f"{host.name} {reason}" for host in hosts if (reason := host_reason(host))]
    if len(closed) == len(hosts):
        return f"No host takes jobs: {'; '.join(closed)}"
    return (
        "All hosts are full"
        if all(_is_full(host) for host in hosts if not host_reason(host))
        else "Is about to start"
    )


def _taken(host: DockerHost) -> str:
    return "is full" if _is_full(host) else "is about to start it"


def _is_full(host: DockerHost) -> bool:
    return host.held >= host.max_concurrent_jobs  # type: ignore[attr-defined,no-any-return]


def _hosts() -> list[DockerHost]:
    return list(DockerHost.objects.annotate(held=held_slots()).order_by(F("weight").desc(), "name"))


def _set(jobs, reason: str) -> int:  # type: ignore[no-untyped-def]
    text = reason[:_MAX_LENGTH]
    return int(jobs.exclude(pending_reason=text).update(pending_reason=text))

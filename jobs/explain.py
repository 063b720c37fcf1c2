"""Where a job may run and why not elsewhere, host by host, as a claim would decide now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models.functions import Now

from jobs import kinds, limits, needs, obstacles, placement, reasons
from jobs.blockers import Blockers
from jobs.kinds import Kind
from jobs.models import ContainerJob, ContainerTemplate
from jobs.models.job import Hold
from jobs.states import JobStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class HostVerdict:
    """What a claim says of one host. `why_not` is empty where it would take the job.

    `is_first`: of those that would, it is the one that the others leave the job to.
    """

    host: str
    weight: int
    free_slots: int
    preferred_labels_met: int
    is_first: bool
    why_not: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """`verdict` says in a sentence what becomes of the job now; `hosts` come best first."""

    job: UUID
    status: str
    verdict: str
    needs: dict[str, Any]
    limits: list[dict[str, Any]]
    hosts: list[HostVerdict]


def explain(job: ContainerJob) -> Explanation:
    """Decide about the job as claims do, and say why; nothing is written."""
    kind = kinds.of_job(job.pk)
    if kind is None:
        raise ContainerJob.DoesNotExist(f"There is no job {job.pk}.")
    hosts = list(obstacles.hosts())
    blockers = Blockers(hosts, reasons.host_reason)
    verdicts = _verdicts(kind, blockers)
    return Explanation(
        job=job.pk,
        status=job.status,
        verdict=_verdict(job, kind, blockers, verdicts),
        needs=_needs(kind),
        limits=_limits(kind),
        hosts=verdicts,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where a job of a template would go now. `blocked` says why nowhere; empty if a host would take it."""

    hosts: list[HostVerdict]
    blocked: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """How many of the hosts would take a job of a template now, and why none would."""

    hosts: int
    of: int
    blocked: str


def places(template: ContainerTemplate) -> Places:
    """Where a job that is nothing but the template's would go now."""
    blockers, kind = _look(), _kind_of(template)
    blocker = blockers.of(kind)
    return Places(hosts=_verdicts(kind, blockers), blocked=blocker.text if blocker else "")


def openings(templates: Iterable[ContainerTemplate]) -> dict[UUID, Opening]:
    """The same of many templates, in numbers, by one look at hosts and limits.

    The templates should have their `network_assignments` prefetched.
    """
    blockers, templates = _look(), list(templates)
    needs.look_for_files(templates)
    found = {}
    for template in templates:
        kind = _kind_of(template)
        willing = 0
        if not blockers.full_limit(kind):
            willing = sum(not placement.why_not(one, kind.needs) for one in blockers.facts)
        blocker = None if willing else blockers.of(kind)
        text = blocker.text if blocker else ""
        found[template.pk] = Opening(hosts=willing, of=len(blockers.facts), blocked=text)
    return found


def _look() -> Blockers:
    """What decides about jobs now, on the hosts that were not removed."""
    hosts = [host for host in obstacles.hosts() if not host.archived_at]
    blockers, used = Blockers(hosts, reasons.host_reason), {host.pk for host in hosts}
    blockers.facts = [one for one in blockers.facts if one.id in used]
    return blockers


def _kind_of(template: ContainerTemplate) -> Kind:
    return kinds.of_new(template, host_id=None, image="", limit_key="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """What would become of a job that is not there yet: as in an `Explanation`."""

    verdict: str
    limits: list[dict[str, Any]]
    hosts: list[HostVerdict]


def foresee(kind: Kind) -> Foresight:
    """Decide about a job of the kind as a claim would now; nothing is written."""
    blockers = Blockers(list(obstacles.hosts()), reasons.host_reason)
    verdicts = _verdicts(kind, blockers)
    return Foresight(verdict=_where(kind, blockers, verdicts), limits=_limits(kind), hosts=verdicts)


def _verdicts(kind: Kind, blockers: Blockers) -> list[HostVerdict]:
    refusals = {one.id: placement.why_not(one, kind.needs) for one in blockers.facts}
    ordered = sorted(
        blockers.facts,
        key=lambda one: (
            bool(refusals[one.id]),
            *(-part for part in placement.rank(one, kind.needs)),
            one.name,
        ),
    )
    return [
        HostVerdict(
            host=one.name,
            weight=one.weight,
            free_slots=max(0, one.free_slots),
            preferred_labels_met=placement.rank(one, kind.needs)[0],
            is_first=place == 0 and not refusals[one.id],
            why_not=refusals[one.id],
        )
        for place, one in enumerate(ordered)
    ]


def _verdict(job: ContainerJob, kind: Kind, blockers: Blockers, verdicts: list[HostVerdict]) -> str:
    if job.status != JobStatus.PENDING:
        return f"It is {job.status}, so nobody claims it; the hosts are judged as if it waited"
    if job.hold:
        return str(Hold(job.hold).label)
    if ContainerJob.objects.filter(pk=job.pk, not_before_at__gt=Now()).exists():
        return job.pending_reason or "It is to start later"
    return _where(kind, blockers, verdicts)


def _where(kind: Kind, blockers: Blockers, verdicts: list[HostVerdict]) -> str:
    if blocker := blockers.of(kind):
        return blocker.text
    return f"Host {verdicts[0].host} takes it, when it is its turn"


def _needs(kind: Kind) -> dict[str, Any]:
    needs = kind.needs
    return {
        "image": needs.image,
        "executor": needs.executor or None,
        "required_labels": needs.required_labels,
        "preferred_labels": needs.preferred_labels,
        "memory_bytes": needs.memory_bytes or None,
        "cpus": needs.cpu_millis / 1000 or None,
    }


def _limits(kind: Kind) -> list[dict[str, Any]]:
    running = limits.running()
    return [
        {
            "limit": limits.key_of(name) or f"template {kind.template_name}",
            "max_concurrent": most,
            "running": running[name],
        }
        for name, most in limits.allowed(kind.needs.limits).items()
    ]

"""Whether a host may take a job, and why not. Pure: claims, waiting reasons and `explain` all ask here.

A job is asked for by its kind: all that decides about hosts and limits is the same for jobs of one template
with the same image and limit key.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from hosts import labels, policy
from hosts.errors import ConfigurationError
from hosts.executors import registry
from hosts.executors.capabilities import WISHES

# A job that has waited so long for memory or CPUs is not overtaken any more by others that need some.
SAVE_UP_SECONDS = 60.0
_MEBIBYTE = 1024**2
_GIBIBYTE = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """A host as its row and its open attempts show it.

    `memory_bytes` and `cpu_millis` are what jobs may be given in all (None: the host does not tell, so
    nothing is counted), the `reserved` ones what its open attempts were given. `obstacle` says why it takes
    nothing at all: "is cordoned"; empty if it takes jobs.
    """

    id: UUID
    name: str
    executor_type: str = "docker"
    labels: Any = field(default_factory=dict)
    policy: Any = field(default_factory=dict)
    weight: int = 100
    free_slots: int = 1
    obstacle: str = ""
    memory_bytes: int | None = None
    cpu_millis: int | None = None
    memory_reserved: int = 0
    cpu_reserved: int = 0

    def with_job(self, needs: JobNeeds) -> HostFacts:
        """As it is once it runs such a job, too."""
        return replace(
            self,
            free_slots=self.free_slots - 1,
            memory_reserved=self.memory_reserved + needs.memory_bytes,
            cpu_reserved=self.cpu_reserved + needs.cpu_millis,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class JobNeeds:
    """What a job asks of a host. A `pinned_to` of None means any; no memory or CPUs: it counts as nothing.

    `asks` are the flags of `Capabilities` that its executor needs (`jobs.needs`).
    """

    image: str = ""
    pinned_to: UUID | None = None
    executor: str = ""
    required_labels: Any = field(default_factory=dict)
    preferred_labels: Any = field(default_factory=dict)
    memory_bytes: int = 0
    cpu_millis: int = 0
    asks: frozenset[str] = frozenset()
    limits: tuple[str, ...] = ()

    @property
    def takes_room(self) -> bool:
        """Whether it is counted as memory or CPUs of a host."""
        return bool(self.memory_bytes or self.cpu_millis)


# ── one host ──────────────────────────────────────────────────────────────────────────────────────────────


def why_not(host: HostFacts, needs: JobNeeds) -> str:
    """Why the host does not take such a job now, as what follows its name; empty if it does."""
    return misfit(host, needs) or not_now(host, needs)


def not_now(host: HostFacts, needs: JobNeeds) -> str:
    """The same of a host that such a job fits."""
    return host.obstacle or shortage(host, needs)


def misfit(host: HostFacts, needs: JobNeeds) -> str:
    """Why it never will, as long as neither the host nor the template is changed."""
    for check in _CHECKS:
        if why := check(host, needs):
            return why
    return ""


def _other_host(host: HostFacts, needs: JobNeeds) -> str:
    return "is not the one it is pinned to" if needs.pinned_to not in (None, host.id) else ""


def _other_executor(host: HostFacts, needs: JobNeeds) -> str:
    if needs.pinned_to or needs.executor in ("", host.executor_type):
        return ""
    return f"is a {host.executor_type} host, not {needs.executor}"


def _incapable(host: HostFacts, needs: JobNeeds) -> str:
    if needs.pinned_to or not needs.asks:
        return ""
    try:
        can = registry.capabilities(host.executor_type)
    except ConfigurationError as exc:
        return f"has no usable executor: {str(exc).rstrip('.')}"
    lacking = [WISHES[one] for one in sorted(needs.asks) if not getattr(can, one)]
    return f"cannot {', nor '.join(lacking)}" if lacking else ""


def _refused(host: HostFacts, needs: JobNeeds) -> str:
    is_allowed = needs.pinned_to or policy.image_allowed(host.policy, needs.image)
    return "" if is_allowed else f"does not allow the image {needs.image}"


def _unlabelled(host: HostFacts, needs: JobNeeds) -> str:
    unmet = [] if needs.pinned_to else labels.unmet(host.labels, needs.required_labels)
    return f"lacks the label{'s' if len(unmet) > 1 else ''} {', '.join(unmet)}" if unmet else ""


def _too_small(host: HostFacts, needs: JobNeeds) -> str:
    if host.memory_bytes is not None and needs.memory_bytes > host.memory_bytes:
        has, wanted = _memory(host.memory_bytes), _memory(needs.memory_bytes)
        return f"has {has} of memory for jobs, {wanted} needed"
    if host.cpu_millis is not None and needs.cpu_millis > host.cpu_millis:
        return f"has {_cpus(host.cpu_millis)} for jobs, {_cpus(needs.cpu_millis)} needed"
    return ""


# What a pinned job asks of its host is between it and the host's executor: nobody routes it. It waits for
# memory and CPUs all the same.
_CHECKS: tuple[Callable[[HostFacts, JobNeeds], str], ...] = (
    _other_host,
    _other_executor,
    _incapable,
    _refused,
    _unlabelled,
    _too_small,
)


def shortage(host: HostFacts, needs: JobNeeds) -> str:
    """What it has too little of now, beside the jobs that run there."""
    if host.memory_bytes is not None and needs.memory_bytes:
        free = host.memory_bytes - host.memory_reserved
        if needs.memory_bytes > free:
            return f"has {_memory(max(0, free))} of memory left, {_memory(needs.memory_bytes)} needed"
    if host.cpu_millis is not None and needs.cpu_millis:
        free = host.cpu_millis - host.cpu_reserved
        if needs.cpu_millis > free:
            return f"has {_cpus(max(0, free))} left, {_cpus(needs.cpu_millis)} needed"
    return ""


def rank(host: HostFacts, needs: JobNeeds) -> tuple[int, int, int]:
    """Which of two hosts that may take it should: preferred labels, then weight, then free room."""
    wanted = needs.preferred_labels if isinstance(needs.preferred_labels, Mapping) else {}
    met = len(wanted) - len(labels.unmet(host.labels, wanted))
    return met, host.weight, host.free_slots


def better(host: HostFacts, others: Iterable[HostFacts], needs: JobNeeds) -> list[HostFacts]:
    """The other hosts that would take such a job now and should rather do so."""
    mine = rank(host, needs)
    return [
        one for one in others if rank(one, needs) > mine and one.free_slots > 0 and not why_not(one, needs)
    ]


# ── several jobs ──────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A due job that the host may take as far as its kind goes. `key` tells it from all others.

    `kind` is for the caller: the number of the kind that it is of.
    """

    key: Any
    kind: int = 0
    needs: JobNeeds
    priority: int
    created_at: datetime
    waited_seconds: float


def choose(
    candidates: Sequence[Candidate], host: HostFacts, room: int, free: Mapping[str, int]
) -> list[Candidate]:
    """The first `room` of the candidates that the host and the limits have room for, in their order.

    `free` is how many more jobs each limit allows; what is not in it is not limited.
    """
    left, chosen, saving = dict(free), list[Candidate](), False
    for one in candidates:
        if len(chosen) == room:
            break
        needs = one.needs
        if any(left.get(limit, 1) <= 0 for limit in needs.limits):
            continue
        if saving and needs.takes_room:
            continue
        if shortage(host, needs):
            saving = saving or one.waited_seconds >= SAVE_UP_SECONDS
            continue
        host = host.with_job(needs)
        for limit in needs.limits:
            if limit in left:
                left[limit] -= 1
        chosen.append(one)
    return chosen


def any_late(candidates: Iterable[Candidate], host: HostFacts) -> bool:
    """Whether one of them has waited so long that room is saved up for it, and there is too little yet."""
    return any(one.waited_seconds >= SAVE_UP_SECONDS and shortage(host, one.needs) for one in candidates)


# ── words ─────────────────────────────────────────────────────────────────────────────────────────────────


def together(reasons: Mapping[str, str]) -> str:
    """What several hosts have against a job, by their names; those that say the same are named together."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        by_reason.setdefault(reason, []).append(name)
    return "; ".join(f"{_names(names)}: {reason}" for reason, names in by_reason.items())


def _names(names: Collection[str]) -> str:
    few = list(names)[:3]
    return ", ".join(few) + (f" and {len(names) - len(few)} more" if len(names) > len(few) else "")


def _memory(size: int) -> str:
    if size >= _GIBIBYTE:
        return f"{size / _GIBIBYTE:.1f} GiB"
    return f"{size // _MEBIBYTE} MiB"


def _cpus(millis: int) -> str:
    count = f"{millis / 1000:g}"
    return f"{count} CPU{'' if count == '1' else 's'}"

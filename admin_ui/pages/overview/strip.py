"""The hosts in a row: how each is, how full, and how busy its machine was in the last half hour."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from django.db.models.functions import Now

from admin_ui.pages import links
from admin_ui.pages.overview.board import Board
from hosts.models import Availability, DockerHost, HostSample
from jobs.obstacles import Obstacle, own_obstacle

MOST_SHOWN = 24
_LOOK_BACK = timedelta(minutes=30)
_DOWN = {Obstacle.PARKED, Obstacle.NO_WORKER, Obstacle.UNREACHABLE}


@dataclass(frozen=True, slots=True)
class HostCard:
    """A host; `word` colours its state, `label` says it. The lines are oldest first, None is a gap."""

    name: str
    url: str
    word: str
    label: str
    reason: str
    held: int
    slots: int
    cpu: list[float | None] = field(default_factory=list)
    memory: list[float | None] = field(default_factory=list)
    memory_bytes: int | None = None


def cards(board: Board) -> list[HostCard]:
    """At most `MOST_SHOWN` of the hosts in use: those that are down first, then the fullest. One query."""
    shown = sorted(board.active, key=_place)[:MOST_SHOWN]
    samples, url = _samples([host.pk for host in shown]), links.to("admin:host")
    return [_card(host, url(host.pk), samples[host.pk]) for host in shown]


def _place(host: DockerHost) -> tuple[bool, float, str]:
    held: int = host.held  # type: ignore[attr-defined]  # annotated
    return own_obstacle(host) not in _DOWN, -held / host.max_concurrent_jobs, host.name


def _samples(hosts: Sequence[UUID]) -> dict[UUID, list[tuple[float | None, float | None]]]:
    found: dict[UUID, list[tuple[float | None, float | None]]] = defaultdict(list)
    recent = HostSample.objects.filter(host_id__in=hosts, at__gt=Now() - _LOOK_BACK).order_by("host", "at")
    for host_id, cpu, memory in recent.values_list("host_id", "cpu_percent", "memory_used_bytes"):
        found[host_id].append((cpu, memory))
    return found


def _card(host: DockerHost, url: str, samples: Sequence[tuple[float | None, float | None]]) -> HostCard:
    word, label = state(host)
    return HostCard(
        name=host.name,
        url=url,
        word=word,
        label=label,
        reason=host.state_reason,
        held=host.held,  # type: ignore[attr-defined]  # annotated
        slots=host.max_concurrent_jobs,
        cpu=_line([cpu for cpu, _ in samples]),
        memory=_line([used for _, used in samples]),
        memory_bytes=host.engine_memory_bytes,
    )


def _line(values: list[float | None]) -> list[float | None]:
    """The values, if there are enough of them for a line."""
    return values if sum(value is not None for value in values) > 1 else []


def state(host: DockerHost) -> tuple[str, str]:
    """How a host of `jobs.obstacles.hosts` is, as a word for its colour and as one for people."""
    if not host.is_active:
        return "", "switched off"
    if not host.is_held:  # type: ignore[attr-defined]  # annotated
        return "unreachable", "no worker"
    if host.availability != Availability.ACTIVE and host.state in ("online", "degraded"):
        return host.availability, host.availability
    return host.state, host.state if host.state != "unknown" else "not seen yet"

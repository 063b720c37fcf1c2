"""What keeps the jobs of a kind from being taken: a word for machines and a sentence for people.

The hosts' side of it is decided where claims decide (`jobs.placement`), so what is told is what happens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Any

from hosts.models import DockerHost
from jobs import facts, limits, placement
from jobs.kinds import Kind
from jobs.obstacles import Obstacle, obstacle
from jobs.placement import HostFacts

_OBSTACLES = list(Obstacle)


class Lack(StrEnum):
    """What a job waits for where it is not for a host's obstacle; see docs/operations.md."""

    NO_HOST = "no_host"
    NO_FIT = "no_fit"
    LIMIT = "limit_reached"
    RESOURCES = "no_resources"


@dataclass(frozen=True, slots=True)
class Blocker:
    """`word` is a `Lack` or an `Obstacle`; `text` a sentence without its full stop."""

    word: Lack | Obstacle
    text: str


class Blockers:
    """Answers for one look at the database: hosts, what runs on them, and limits are read once."""

    def __init__(self, hosts: Sequence[DockerHost], say: Callable[[DockerHost], str]) -> None:
        """`hosts` are those of `obstacles.hosts`; `say` tells what a host has against all jobs."""
        self._obstacles = {host.pk: obstacle(host) for host in hosts}
        self._archived = {host.pk for host in hosts if host.archived_at}
        said = {host.pk: say(host) for host in hosts}
        self._seen: dict[tuple[Any, ...], tuple[dict[str, str], list[HostFacts]]] = {}
        self.facts = [replace(one, obstacle=said.get(one.id, "is new")) for one in facts.of_all()]

    def of(self, kind: Kind) -> Blocker | None:
        """Why no job of the kind is taken now; None if one could be."""
        refusals, fitting = self._of_hosts(kind)
        if not refusals:
            return Blocker(Lack.NO_HOST, "There is no host; add one with manage_docker_host add")
        if fitting and (full := self.full_limit(kind)):
            return Blocker(Lack.LIMIT, full)
        if not all(refusals.values()):
            return None
        return Blocker(self._nearest(fitting), _sentence(kind, refusals))

    def full_limit(self, kind: Kind) -> str:
        """Which limit of the kind is reached, as a sentence; empty if none is."""
        for name in kind.needs.limits:
            most, running = self._most.get(name), self._running[name]
            if most is not None and running >= most:
                return _limit_sentence(kind, name, running, most)
        return ""

    @cached_property
    def _most(self) -> dict[str, int]:
        return limits.all_of_them()

    def _of_hosts(self, kind: Kind) -> tuple[dict[str, str], list[HostFacts]]:
        """What each host has against jobs of the kind, by its name, and the hosts that fit them."""
        # Of one template there may be as many kinds as limit keys, to which hosts do not look.
        key = (kind.host_key, kind.template_key, kind.override_image)
        if key not in self._seen:
            refusals, fitting = dict[str, str](), list[HostFacts]()
            for host in self._hosts(kind):
                misfit = placement.misfit(host, kind.needs)
                refusals[host.name] = misfit or placement.not_now(host, kind.needs)
                if not misfit:
                    fitting.append(host)
            self._seen[key] = refusals, fitting
        return self._seen[key]

    def _hosts(self, kind: Kind) -> list[HostFacts]:
        pinned = kind.needs.pinned_to
        return [one for one in self.facts if (one.id == pinned if pinned else one.id not in self._archived)]

    @cached_property
    def _running(self) -> dict[str, int]:
        return limits.running()

    def _nearest(self, fitting: Sequence[HostFacts]) -> Lack | Obstacle:
        """What the host that is nearest to taking one has against it."""
        if not fitting:
            return Lack.NO_FIT
        found = [self._obstacles.get(host.id) for host in fitting]
        if None in found:
            return Lack.RESOURCES
        return max(filter(None, found), key=_OBSTACLES.index)


def _sentence(kind: Kind, refusals: dict[str, str]) -> str:
    if kind.needs.pinned_to:
        ((name, reason),) = refusals.items()
        return f"Host {name} {reason}"
    return f"No host takes it: {placement.together(refusals)}"


def _limit_sentence(kind: Kind, name: str, running: int, most: int) -> str:
    key = limits.key_of(name)
    what = f"The limit {key}" if key else f"The limit of template {kind.template_name}"
    return (
        f"{what} is reached ({running} of {most} at once)" if most else f"{what} lets no job start (it is 0)"
    )

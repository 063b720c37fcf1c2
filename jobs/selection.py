"""How many jobs of which kind a claim takes, where not all are alike: placement, memory, CPUs, limits.

Where all are alike, and that is the usual case, `jobs.claims` takes them in one statement and asks nothing
here. Everything here is read and decided inside the claim's transaction, under the host's lease: nobody else
gives this host anything meanwhile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from functools import cache, cached_property
from typing import Any

from django.db import connection

from hosts.models import DockerHost
from jobs import batches, facts, kinds, limits, placement
from jobs.kinds import Kind
from jobs.placement import Candidate, HostFacts


class Order(Enum):
    """Which jobs go first. `SAVING`: of those that need memory or CPUs the oldest, before all others."""

    BY_PRIORITY = auto()
    BY_AGE = auto()
    SAVING = auto()

    def is_by_age(self, kind: Kind) -> bool:
        """Whether jobs of the kind go by age; they go before those that do not."""
        return self is Order.BY_AGE or (self is Order.SAVING and kind.needs.takes_room)


@dataclass(frozen=True, slots=True)
class Share:
    """To take `count` jobs of a kind, none of them younger than `least_age` seconds.

    Not these or those of them: whichever nobody else is taking at the same moment. To hosts and limits they
    are all the same.
    """

    kind: Kind
    count: int
    least_age: float
    oldest_first: bool


@dataclass(slots=True)
class Selection:
    """What to take, in this order, and why it may be worth while to look again soon.

    `stood_back`: a better host has some seconds for what was left; `is_contended`: others are claiming by
    the same limits, so less was taken than there seemed to be. `saves_up`: the oldest have waited long for
    more memory or CPUs than there are, which was not asked of an order by priority.
    """

    shares: list[Share] = field(default_factory=list)
    stood_back: bool = False
    is_contended: bool = False
    saves_up: bool = False


def select(host: DockerHost, room: int, *, free: int, order: Order, stand_back_seconds: float) -> Selection:
    """Choose up to `room` jobs for the host, those pinned to it first; nothing is written yet.

    `free` is how many slots the host has, which may be more than it is to take now.
    """
    own = facts.of_host(host.id)
    if own is None:
        return Selection()
    return _Selector(own, room, free, order, stand_back_seconds).run()


class _Selector:
    def __init__(self, own: HostFacts, room: int, free: int, order: Order, stand_back_seconds: float) -> None:
        self._own, self._room, self._order = own, room, order
        self._mine = replace(own, free_slots=free)
        self._stand_back_seconds = stand_back_seconds
        self._selection = Selection()
        self._fitting: dict[tuple[Any, ...], bool] = {}
        self._least_ages: dict[tuple[Any, ...], float] = {}

    def run(self) -> Selection:
        found = [kind for kind in kinds.pending(self._own.id) if self._fits(kind)]
        free = self._free({name for kind in found for name in kind.needs.limits})
        open_kinds = [kind for kind in found if all(free.get(name, 1) > 0 for name in kind.needs.limits)]
        self._kinds, self._ages = open_kinds, [self._least_age(kind) for kind in open_kinds]
        candidates = self._candidates()
        if self._order is not Order.BY_PRIORITY:
            self._selection.saves_up = placement.any_late(candidates, self._own)
        chosen = self._choose(candidates, free)
        if concerned := {name for one in chosen for name in one.needs.limits if name in free}:
            chosen = self._choose_locked(candidates, free, concerned, len(chosen))
        counts = Counter(one.kind for one in chosen)
        self._selection.shares = [self._share(number, count) for number, count in counts.items()]
        return self._selection

    def _share(self, number: int, count: int) -> Share:
        kind = self._kinds[number]
        return Share(kind, count, self._ages[number], oldest_first=self._order.is_by_age(kind))

    def _fits(self, kind: Kind) -> bool:
        # Of one template there may be as many kinds as limit keys, to which hosts do not look.
        key = (kind.host_key, kind.template_key, kind.override_image)
        if key not in self._fitting:
            self._fitting[key] = not placement.misfit(self._own, kind.needs)
        return self._fitting[key]

    def _choose(self, candidates: Sequence[Candidate], free: dict[str, int]) -> list[Candidate]:
        return placement.choose(candidates, self._own, self._room, free)

    @staticmethod
    def _free(names: set[str]) -> dict[str, int]:
        return limits.free(limits.allowed(names)) if names else {}

    def _choose_locked(
        self, candidates: Sequence[Candidate], free: dict[str, int], concerned: set[str], before: int
    ) -> list[Candidate]:
        """Choose again, by a count that stays true: of limits that are not ours now nothing is taken."""
        now = limits.free(limits.locked(concerned))
        chosen = self._choose(candidates, {name: now.get(name, 0) for name in free})
        self._selection.is_contended = len(chosen) < before
        return chosen

    # ── jobs of these kinds ───────────────────────────────────────────────────────────────────────────────

    def _candidates(self) -> list[Candidate]:
        """The first due jobs of each kind, in the order in which they are to be taken."""
        groups: dict[tuple[bool, bool], list[int]] = {}
        for number, kind in enumerate(self._kinds):
            group = kind.host_key is not None, self._order.is_by_age(kind)
            groups.setdefault(group, []).append(number)
        found = [
            Candidate(
                key=key,
                kind=number,
                needs=self._kinds[number].needs,
                priority=priority,
                created_at=created_at,
                waited_seconds=float(waited),
            )
            for (pinned, oldest_first), some in groups.items()
            for number, key, priority, created_at, waited in self._due(
                some, pinned=pinned, oldest_first=oldest_first
            )
        ]
        return sorted(found, key=self._rank)

    def _rank(self, one: Candidate) -> tuple[Any, ...]:
        kind = self._kinds[one.kind]
        if self._order.is_by_age(kind):
            return 0, False, 0, one.created_at, one.key
        # Those pinned to the host first: they have nowhere else to go.
        return 1, kind.host_key is None, -one.priority, one.created_at, one.key

    def _least_age(self, kind: Kind) -> float:
        if kind.host_key is not None:
            return 0.0
        key = (kind.template_key, kind.override_image)
        if key not in self._least_ages:
            better = placement.better(self._mine, self._others, kind.needs)
            self._selection.stood_back = self._selection.stood_back or bool(better)
            self._least_ages[key] = self._stand_back_seconds if better else 0.0
        return self._least_ages[key]

    @cached_property
    def _others(self) -> list[HostFacts]:
        return facts.of_others(self._own.id)

    def _due(self, some: Sequence[int], *, pinned: bool, oldest_first: bool) -> Iterable[Any]:
        chosen = [self._kinds[number] for number in some]
        host = [chosen[0].host_key] if pinned else []
        if connection.vendor == "postgresql":
            columns = [
                list(some),
                [kind.template_key for kind in chosen],
                [kind.override_image for kind in chosen],
                [kind.limit_key for kind in chosen],
                [self._ages[number] for number in some],
            ]
            sql = _due_sql(pinned=pinned, oldest_first=oldest_first)
            return batches.execute(sql, [*columns, *host, self._room])
        sql = _due_sql_of_one(pinned=pinned, oldest_first=oldest_first)
        rows: list[Any] = []
        for number, kind in zip(some, chosen, strict=True):
            of_kind = [kind.template_key, kind.override_image, kind.limit_key, -self._ages[number]]
            rows += batches.execute(sql, [number, *of_kind, *host, self._room])
        return rows


_DUE = (
    "j.status = 'pending' AND j.hold = '' AND j.template_id = {0} AND j.override_image = {1} "
    "AND j.limit_key = {2} AND (j.not_before_at IS NULL OR j.not_before_at <= {now}) "
    "AND j.created_at <= {late} AND NOT EXISTS "
    "(SELECT 1 FROM jobs_attempt a WHERE a.job_id = j.id AND a.state <> 'ended')"
)


@cache
def _due_sql(*, pinned: bool, oldest_first: bool) -> str:
    due = _DUE.format(
        "k.template_id", "k.image", "k.limit_key", now=batches.now(), late=batches.later("-k.age")
    )
    waited = f"EXTRACT(EPOCH FROM {batches.now()} - j.created_at)"
    return (
        "SELECT k.number, j.* FROM unnest(%s::int[], %s::uuid[], %s::text[], %s::text[], %s::float8[]) "
        "AS k(number, template_id, image, limit_key, age), LATERAL "
        f"(SELECT j.id, j.priority, j.created_at, {waited} FROM jobs_containerjob j "
        f"WHERE {_pinned(pinned)} AND {due} {_order(oldest_first)} LIMIT %s) j"
    )


@cache
def _due_sql_of_one(*, pinned: bool, oldest_first: bool) -> str:
    due = _DUE.format("%s", "%s", "%s", now=batches.now(), late=batches.later("%s"))
    waited = "COALESCE((julianday('now') - julianday(j.created_at)) * 86400, 0)"
    return (
        f"SELECT %s, j.id, j.priority, j.created_at, {waited} FROM jobs_containerjob j "
        f"WHERE {due} AND {_pinned(pinned)} {_order(oldest_first)} LIMIT %s"
    )


def _pinned(pinned: bool) -> str:
    return "j.docker_host_id = %s" if pinned else "j.docker_host_id IS NULL"


def _order(oldest_first: bool) -> str:
    # The host and what the kind is made of are all the same: named for the order of the index, to its end.
    kind = "j.docker_host_id, j.template_id, j.override_image, j.limit_key"
    return f"ORDER BY {kind}, {'j.created_at' if oldest_first else 'j.priority DESC, j.created_at, j.id'}"

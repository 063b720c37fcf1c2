"""Which hosts this supervisor shall hold, where several share them. Pure.

Each takes up to an even share of what is free, at once what falls to it by a hash, so that two that look at
the same moment do not take the same; the lease decides where they do. One that holds more than its share
hands hosts over one by one, by detaching, once nobody has come or gone for a while. A host that nobody else
takes is kept: it may be one that only we can reach. Alone, a supervisor holds everything.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

_STABLE_SECONDS = 30.0
_HAND_OVER_EVERY_SECONDS = 5.0
_PREFERRED_FIRST_SECONDS = 4.0
_NOBODY_TAKES_IT_SECONDS = 10.0
_GIVE_WAY_SECONDS = 5.0
_JUDGED_AFTER_SECONDS = 15.0
_PASSED_OVER_SECONDS = 60.0
_MOST_DOUBLINGS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """A host as the database shows it: `is_ours`, `is_free`, or else somebody else's.

    `is_away`: it does not answer, or is parked. `is_bound`: it is a socket or a folder of the machine of its
    last holder, where another supervisor lives; `is_ours_alone`: of our machine, where no other lives.
    """

    is_ours: bool = False
    is_free: bool = False
    is_away: bool = False
    is_bound: bool = False
    is_ours_alone: bool = False


@dataclass(slots=True)
class Share:
    """What one supervisor holds, and why. Times are on the boot clock."""

    me: UUID
    held: dict[UUID, float] = field(default_factory=dict)  # since when
    _members: frozenset[UUID] = frozenset()
    _stable_clock: float = 0.0
    _hand_clock: float = 0.0
    _quiet_until: float = 0.0
    _free: dict[UUID, float] = field(default_factory=dict)
    _others: dict[UUID, float] = field(default_factory=dict)
    _handed: dict[UUID, float] = field(default_factory=dict)
    _kept: set[UUID] = field(default_factory=set)
    _passed: dict[UUID, tuple[float, int]] = field(default_factory=dict)

    def be_quiet_until(self, clock: float) -> None:
        """Change nothing until then: after an outage all leases have run out, and all others look dead."""
        self._quiet_until = clock

    def try_all_again(self) -> None:
        """A person says: look again at what was out of reach, or what nobody else took."""
        self._passed.clear()
        self._kept.clear()

    def decide(
        self, hosts: Mapping[UUID, Sight], members: Mapping[UUID, int], now: float, *, may_take: bool = True
    ) -> set[UUID]:
        """The hosts to hold from now on. `members` are the living supervisors, with how many each has."""
        self.held = {host: since for host, since in self.held.items() if host in hosts}
        if now >= self._quiet_until:
            self._look(hosts, members, now)
            self._give_way(hosts, now)
            if self._members == {self.me}:
                self._take([host for host, sight in hosts.items() if sight.is_free], now, may_take)
            else:
                self._share(hosts, members, now, may_take)
        return set(self.held)

    def _look(self, hosts: Mapping[UUID, Sight], members: Mapping[UUID, int], now: float) -> None:
        if self._members != members.keys():
            self._members, self._stable_clock = frozenset(members), now
            self._handed.clear()
            self._kept.clear()
        free = {host for host, sight in hosts.items() if sight.is_free}
        self._free = {host: self._free.get(host, now) for host in free}
        others = {host for host, sight in hosts.items() if not (sight.is_free or sight.is_ours)}
        self._others = {host: self._others.get(host, now) for host in others}

    def _give_way(self, hosts: Mapping[UUID, Sight], now: float) -> None:
        """Let go of what is somebody else's, and of what is out of reach from here if others may try."""
        for host, since in list(self.held.items()):
            sight = hosts[host]
            if now - self._others.get(host, now) > _GIVE_WAY_SECONDS:
                del self.held[host]
            elif sight.is_away and now - since > _JUDGED_AFTER_SECONDS and self._members != {self.me}:
                if not sight.is_ours_alone:
                    times = self._passed.get(host, (0.0, 0))[1]
                    self._passed[host] = (
                        now + _PASSED_OVER_SECONDS * 2 ** min(times, _MOST_DOUBLINGS),
                        times + 1,
                    )
                    del self.held[host]
            elif not sight.is_away and sight.is_ours:
                self._passed.pop(host, None)

    def _share(
        self, hosts: Mapping[UUID, Sight], members: Mapping[UUID, int], now: float, may_take: bool
    ) -> None:
        target = math.ceil(len(hosts) / len(members))
        waiting = [host for host in self._free if host not in self.held and self._may_reach(host, now)]
        own = [host for host in waiting if self._is_mine_to_take(host, hosts[host], now)]
        self._take(sorted(own, key=self._rank)[: max(0, target - len(self.held))], now, may_take)
        left = [host for host in waiting if host not in self.held and self._is_left(host, now)]
        self._kept.update(host for host in left if host in self._handed)
        self._take(left, now, may_take)
        below = any(count < target for member, count in members.items() if member != self.me)
        if len(self.held) > target and below:
            self._hand_over(hosts, now)

    def _take(self, hosts: Sequence[UUID], now: float, may_take: bool) -> None:
        if may_take:
            self.held |= {host: now for host in hosts if host not in self.held}

    def _hand_over(self, hosts: Mapping[UUID, Sight], now: float) -> None:
        if now < max(self._stable_clock + _STABLE_SECONDS, self._hand_clock):
            return
        able = [host for host in self.held if host not in self._kept and not hosts[host].is_ours_alone]
        if able:
            host = max(able, key=self._rank)
            del self.held[host]
            self._handed[host], self._hand_clock = now, now + _HAND_OVER_EVERY_SECONDS

    def _may_reach(self, host: UUID, now: float) -> bool:
        return now >= self._passed.get(host, (0.0, 0))[0]

    def _is_mine_to_take(self, host: UUID, sight: Sight, now: float) -> bool:
        if sight.is_bound or host in self._handed:
            return False
        first = min(self._members, key=lambda member: _score(member, host)) == self.me
        return first or now - self._free[host] >= _PREFERRED_FIRST_SECONDS

    def _is_left(self, host: UUID, now: float) -> bool:
        since = max(self._free[host], self._handed.get(host, 0.0))
        return now - since >= _NOBODY_TAKES_IT_SECONDS

    def _rank(self, host: UUID) -> tuple[int, bytes]:
        """Small for hosts that fall to us rather than to others."""
        mine = _score(self.me, host)
        return sum(_score(member, host) < mine for member in self._members), mine


def _score(member: UUID, host: UUID) -> bytes:
    return hashlib.blake2b(member.bytes + host.bytes, digest_size=8).digest()

"""Which hosts a supervisor holds where there are several: fair, stable, and none left alone."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from supervisor.sharing import Share, Sight

FREE = Sight(is_free=True)
OURS = Sight(is_ours=True)
THEIRS = Sight()
NOW = 1000.0


class World:
    """Supervisors that look at the same hosts by turns; whoever decides first gets the lease."""

    def __init__(self, supervisors: int, hosts: int) -> None:
        self.shares = [Share(uuid4()) for _ in range(supervisors)]
        self.hosts = [uuid4() for _ in range(hosts)]
        self.holder: dict[UUID, Share] = {}
        self.out_of_reach: set[tuple[UUID, UUID]] = set()
        self.now = NOW
        self.moves = 0

    def sight(self, host: UUID, share: Share) -> Sight:
        holder = self.holder.get(host)
        away = (share.me, host) in self.out_of_reach
        if holder is None or holder not in self.shares:
            return Sight(is_free=True, is_away=away)
        return Sight(is_ours=holder is share, is_away=away and holder is share)

    def tick(self, seconds: float = 2.0) -> None:
        self.now += seconds
        members = {share.me: sum(one is share for one in self.holder.values()) for share in self.shares}
        for share in self.shares:
            hosts = {host: self.sight(host, share) for host in self.hosts}
            held = share.decide(hosts, members, self.now)
            for host in self.hosts:
                holder = self.holder.get(host)
                if holder is share and host not in held:
                    del self.holder[host]
                    self.moves += 1
                elif host in held and (holder is None or holder not in self.shares):
                    self.holder[host] = share

    def run(self, seconds: float) -> None:
        for _ in range(int(seconds / 2)):
            self.tick()

    def counts(self) -> list[int]:
        return sorted(sum(holder is share for holder in self.holder.values()) for share in self.shares)


def test_alone_it_takes_everything_at_once() -> None:
    world = World(1, 50)
    world.tick()
    assert world.counts() == [50]


def test_what_somebody_else_holds_is_left_to_him_until_it_is_free() -> None:
    share, host = Share(uuid4()), uuid4()
    assert share.decide({host: THEIRS}, {share.me: 0}, NOW) == set()
    assert share.decide({host: FREE}, {share.me: 0}, NOW + 1) == {host}


def test_what_somebody_else_got_first_is_given_up_after_a_moment() -> None:
    share, host = Share(uuid4()), uuid4()
    share.decide({host: FREE}, {share.me: 0}, NOW)
    assert share.decide({host: THEIRS}, {share.me: 1}, NOW + 1) == {host}, "the view may be a moment old"
    assert share.decide({host: THEIRS}, {share.me: 1}, NOW + 7) == set()


@pytest.mark.parametrize(("supervisors", "hosts", "most"), [(2, 10, 5), (3, 10, 4), (4, 3, 1), (3, 50, 17)])
def test_several_that_start_at_once_share_evenly_within_seconds(supervisors, hosts, most) -> None:
    world = World(supervisors, hosts)
    world.run(10)
    assert sum(world.counts()) == hosts
    assert world.counts()[-1] <= most
    assert world.moves == 0


def test_a_newcomer_gets_its_share_one_by_one_once_nobody_comes_or_goes_any_more() -> None:
    world = World(1, 10)
    world.tick()
    world.shares.append(Share(uuid4()))
    world.run(28)
    assert world.counts() == [0, 10]
    world.run(8)
    assert world.counts()[0] in {1, 2}
    world.run(60)
    assert world.counts() == [5, 5]
    assert world.moves == 5
    world.run(300)
    assert world.moves == 5, "and then it is quiet"


def test_when_one_dies_the_others_take_its_hosts() -> None:
    world = World(3, 9)
    world.run(10)
    del world.shares[0]
    world.run(8)
    assert sum(world.counts()) == 9


def test_a_rolling_deployment_leaves_no_host_alone_for_long() -> None:
    world = World(1, 20)
    world.tick()
    world.shares.append(Share(uuid4()))
    world.tick()
    del world.shares[0]
    world.tick()
    assert world.counts() == [20]


def test_a_host_that_only_one_can_reach_ends_up_there_and_stays() -> None:
    world = World(2, 4)
    one, two = world.shares
    only = world.hosts[0]
    world.out_of_reach.add((two.me, only))
    world.run(120)
    assert world.holder[only] is one
    before = world.moves
    world.run(1000)
    assert world.holder[only] is one
    assert world.moves == before
    assert sum(world.counts()) == 4


def test_hosts_that_nobody_else_can_take_are_taken_back_and_kept() -> None:
    share, other = Share(uuid4()), uuid4()
    hosts = [uuid4() for _ in range(4)]
    now, gone = NOW, 0
    holding = set(hosts)
    share.held = dict.fromkeys(hosts, now)
    for _ in range(300):
        now += 2.0
        seen = {host: OURS if host in holding else FREE for host in hosts}
        after = share.decide(seen, {share.me: len(holding), other: 0}, now)
        gone += len(holding - after)
        holding = after
    assert holding == set(hosts)
    assert gone == 4, "each was offered once"


def test_a_host_of_our_own_machine_is_not_offered_to_other_machines() -> None:
    share, other = Share(uuid4()), uuid4()
    bound = Sight(is_ours=True, is_ours_alone=True, is_away=True)
    hosts = {uuid4(): bound for _ in range(4)}
    share.held = dict.fromkeys(hosts, NOW)
    for turn in range(100):
        assert share.decide(hosts, {share.me: 4, other: 0}, NOW + 2 * turn) == set(hosts)


def test_a_host_of_another_supervisors_machine_is_left_to_it_for_a_while() -> None:
    share, other, host = Share(uuid4()), uuid4(), uuid4()
    bound = {host: Sight(is_free=True, is_bound=True)}
    members = {share.me: 0, other: 0}
    assert share.decide(bound, members, NOW) == set()
    assert share.decide(bound, members, NOW + 9) == set()
    assert share.decide(bound, members, NOW + 11) == {host}


def test_after_an_outage_nothing_changes_for_a_while() -> None:
    share, other = Share(uuid4()), uuid4()
    mine, theirs = uuid4(), uuid4()
    members = {share.me: 1, other: 1}
    share.held = {mine: NOW}
    share.decide({mine: OURS, theirs: THEIRS}, members, NOW)
    share.be_quiet_until(NOW + 15)
    everything_looks_free = {mine: FREE, theirs: FREE}
    assert share.decide(everything_looks_free, {share.me: 1}, NOW + 14) == {mine}
    assert share.decide({mine: OURS, theirs: THEIRS}, members, NOW + 16) == {mine}


def test_one_that_is_draining_takes_nothing_new() -> None:
    share, host = Share(uuid4()), uuid4()
    assert share.decide({host: FREE}, {share.me: 0}, NOW, may_take=False) == set()


def test_a_deleted_host_is_forgotten() -> None:
    share, host = Share(uuid4()), uuid4()
    share.decide({host: FREE}, {share.me: 0}, NOW)
    assert share.decide({}, {share.me: 1}, NOW + 2) == set()

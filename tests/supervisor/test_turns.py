"""Room that several hosts share in one process: nobody starves. No database."""

from __future__ import annotations

import uuid

from supervisor.turns import Turns

A, B, C = (uuid.UUID(int=number) for number in (1, 2, 3))


def ask(turns: Turns, host: uuid.UUID, spare: int, now: float = 0.0, *, wants: bool = True) -> int:
    return turns.room(host, spare, now, wants=lambda: wants)


def test_free_room_is_anybodys():
    turns = Turns()
    assert (ask(turns, A, 2), ask(turns, B, 1)) == (2, 1)


def test_who_asked_in_vain_comes_before_the_one_whose_job_has_ended():
    turns = Turns()
    assert ask(turns, B, 0) == 0
    assert ask(turns, A, 1) == 0
    assert ask(turns, B, 1) == 1
    assert ask(turns, A, 1) == 1


def test_those_who_wait_are_served_in_their_order():
    turns = Turns()
    for host in (A, B, C):
        ask(turns, host, 0)
    assert (ask(turns, C, 1), ask(turns, B, 1), ask(turns, A, 1)) == (-1, 0, 1)
    assert (ask(turns, C, 1), ask(turns, B, 1)) == (0, 1)


def test_a_host_without_jobs_keeps_no_room_from_others():
    turns = Turns()
    ask(turns, B, 0, wants=False)
    assert ask(turns, A, 1) == 1


def test_a_host_that_asks_no_more_is_forgotten():
    turns = Turns()
    ask(turns, B, 0, now=0.0)
    assert ask(turns, A, 1, now=0.5) == 0
    assert ask(turns, A, 1, now=1.4) == 1

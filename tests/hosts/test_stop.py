"""A wish to stop ends a wait that nothing else would have ended."""

from __future__ import annotations

import select
import threading

from hosts.executors.stop import Stop, descriptor_of


def is_readable(stop: Stop) -> bool:
    return bool(select.select([stop.fileno()], [], [], 0)[0])


def test_its_descriptor_gets_readable_when_it_is_set() -> None:
    stop = Stop()
    assert descriptor_of(stop) == stop.fileno() >= 0
    assert (stop.is_set(), is_readable(stop)) == (False, False)
    stop.set()
    assert (stop.is_set(), is_readable(stop)) == (True, True)
    stop.close()


def test_one_that_nobody_waits_for_any_more_may_still_be_set() -> None:
    stop = Stop()
    stop.close()
    stop.set()
    assert (stop.is_set(), stop.fileno()) == (True, -1)


def test_any_other_event_has_to_be_looked_at() -> None:
    assert descriptor_of(threading.Event()) == -1

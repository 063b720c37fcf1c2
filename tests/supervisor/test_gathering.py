"""A moment's wait for answers that come close together, where it pays."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from supervisor.worker.gathering import Gathering
from supervisor.worker.inbox import Inbox, Wake

NOW = 1000.0


class CountedInbox(Inbox):
    """Tells how often it was waited for."""

    waits = 0

    def wait_for(self, count: int, seconds: float) -> int:
        self.waits += 1
        return super().wait_for(count, seconds)


@pytest.fixture
def inbox() -> Iterator[CountedInbox]:
    wake = Wake()
    yield CountedInbox(wake)
    wake.close()


def test_a_wait_ends_with_the_last_answer(inbox: CountedInbox) -> None:
    inbox.put("first")
    thread = threading.Timer(0.05, lambda: [inbox.put(number) for number in range(2)])
    thread.start()
    began = time.monotonic()
    assert inbox.wait_for(3, 30.0) == 3
    assert time.monotonic() - began < 10
    thread.join()


def test_nothing_is_waited_for_when_every_answer_or_none_is_there(inbox: CountedInbox) -> None:
    gathering = Gathering()
    gathering.wait(inbox, 3, NOW)
    inbox.put("the only one")
    gathering.wait(inbox, 1, NOW)
    assert inbox.waits == 0


def test_where_steps_are_slow_it_is_seldom_waited(inbox: CountedInbox) -> None:
    gathering = Gathering()
    inbox.put("one of two")
    for _ in range(500):
        gathering.wait(inbox, 2, NOW)
    assert 1 <= inbox.waits < 20


def test_where_the_others_come_at_once_it_is_waited_every_time(
    inbox: CountedInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    gathering = Gathering()

    def all_come(count: int, _seconds: float) -> int:
        inbox.waits += 1
        return count

    monkeypatch.setattr(inbox, "wait_for", all_come)
    inbox.put("first")
    for _ in range(10):
        gathering.wait(inbox, 10, NOW)
    assert inbox.waits == 10


def test_a_claim_waits_for_room_that_comes_at_once_but_not_for_long(
    inbox: CountedInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    gathering = Gathering()
    assert not gathering.holds_claim(NOW, 3), "it is not known yet that steps are fast"
    monkeypatch.setattr(inbox, "wait_for", lambda count, _seconds: count)
    inbox.put("first")
    gathering.wait(inbox, 10, NOW)
    assert gathering.holds_claim(NOW, 3)
    assert not gathering.holds_claim(NOW, 0), "all have ended"
    assert gathering.holds_claim(NOW, 3)
    assert not gathering.holds_claim(NOW + 0.01, 3)
    assert not gathering.holds_claim(NOW + 1, 3), "that steps are fast was long ago"


def test_what_needs_nobody_now_does_not_end_the_wait(inbox: CountedInbox) -> None:
    inbox._wake.clear()
    inbox.put_latest("key", "an event", wake=False)
    began = time.monotonic()
    inbox._wake.wait(0.05)
    assert time.monotonic() - began >= 0.05
    assert inbox.take() == ["an event"]

"""How long a busy log is left alone: so long that a read is worth it, not so long that its socket is full."""

from __future__ import annotations

import time

import pytest

from supervisor.worker import pacing
from supervisor.worker.pacing import LONGEST_SECONDS, SHORTEST_SECONDS, Pace

NOW = 1000.0
SOCKET_RECORDS = 277


def settled(records_a_second: float, record_bytes: int) -> tuple[Pace, float]:
    """A log's pace after it has been read a while, and how many records come between two reads."""
    pace, now, read_at = Pace(record_bytes=record_bytes), NOW, NOW
    for _ in range(50):
        records = (now - read_at) * records_a_second
        read_at = now
        pace.after(round(records * record_bytes), now)
        now = pace.due
    return pace, pace.pause * records_a_second


@pytest.mark.parametrize("record_bytes", [45, 139, 1000])
@pytest.mark.parametrize("records_a_second", [3_000, 20_000, 60_000, 200_000])
def test_between_two_reads_comes_as_much_as_a_socket_holds_easily(
    records_a_second: int, record_bytes: int
) -> None:
    pace, records = settled(records_a_second, record_bytes)
    assert records < SOCKET_RECORDS / 2 or pace.pause == SHORTEST_SECONDS
    assert records > 20 or pace.pause == LONGEST_SECONDS


def test_large_records_are_counted_by_their_bytes() -> None:
    _, records = settled(10_000, 16_423)
    assert records * 16_423 < 200 * 1024


def test_a_log_that_says_little_is_not_left_alone_for_long() -> None:
    pace, _ = settled(100, 139)
    assert pace.pause == LONGEST_SECONDS
    pace.rest()
    assert pace.due == 0
    pace.after(139, NOW)
    assert NOW < pace.due <= NOW + LONGEST_SECONDS / 4


def test_logs_of_one_pace_are_due_at_one_moment() -> None:
    one, other = Pace(pause=0.016), Pace(pause=0.016)
    one.after(100 * 64, NOW + 0.001)
    other.after(100 * 64, NOW + 0.007)
    assert one.due == other.due


def test_a_short_nap_is_slept_and_of_a_long_one_the_rest_is_told() -> None:
    began = time.monotonic()
    assert pacing.nap(0.001) == 0
    assert time.monotonic() - began >= 0.001
    assert 0.5 < pacing.nap(1.0) <= 1.0
    assert pacing.nap(0.0) == 0

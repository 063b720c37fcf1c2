"""When a worker is worn."""

from __future__ import annotations

import pytest

from supervisor.recycling import Recycling


@pytest.mark.parametrize(
    ("limits", "age", "jobs", "words"),
    [
        ({}, 1e9, 10**9, ""),
        ({"max_age_seconds": 100.0}, 99.0, 0, ""),
        ({"max_age_seconds": 100.0}, 100.0, 0, "100 s old"),
        ({"max_jobs": 10}, 1e9, 9, ""),
        ({"max_jobs": 10}, 0.0, 10, "10 jobs"),
    ],
)
def test_a_limit_is_reached_or_not(limits: dict, age: float, jobs: int, words: str) -> None:
    why = Recycling(share=1.0, **limits).why(age_seconds=age, jobs=jobs)
    assert (words in why) if words else why == ""


def test_workers_of_one_age_do_not_end_at_one_moment() -> None:
    shares = {Recycling(max_age_seconds=100.0).share for _ in range(20)}
    assert len(shares) > 1
    assert all(0.9 <= share <= 1.0 for share in shares)

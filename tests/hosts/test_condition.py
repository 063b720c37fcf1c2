from __future__ import annotations

import pytest

from hosts import condition
from hosts.executors.contract import EngineFacts

WELL = {"answer_seconds": 0.2, "clock_skew_seconds": 0.1, "disk_free_bytes": 50, "disk_total_bytes": 100}


def facts(**said: object) -> EngineFacts:
    return EngineFacts(engine_id="e", version="27", **said)  # type: ignore[arg-type]


def test_an_engine_that_tells_nothing_of_itself_or_only_good_things_is_well() -> None:
    assert condition.trouble(facts()) == ""
    assert condition.trouble(facts(**WELL)) == ""


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"answer_seconds": 6.5}, "it takes more than 5 s to answer"),
        ({"disk_free_bytes": 3}, "less than 5% of its disk is free"),
        ({"clock_skew_seconds": 11.0}, "its clock differs from ours by more than 10 s"),
    ],
)
def test_what_is_wrong_is_told_in_words_that_stay_the_same(said: dict[str, object], words: str) -> None:
    assert condition.trouble(facts(**{**WELL, **said})) == words


def test_all_that_is_wrong_is_told() -> None:
    assert condition.trouble(facts(answer_seconds=9.0, disk_free_bytes=0, disk_total_bytes=9)).count(";") == 1

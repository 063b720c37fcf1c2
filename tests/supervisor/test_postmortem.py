"""What a child died of, in words."""

from __future__ import annotations

import signal

import pytest

from supervisor.exit_codes import CONFIGURATION, FAILED, INTERNAL, OK, TRY_LATER
from supervisor.postmortem import cause_of


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (OK, ""),
        (FAILED, ""),
        (CONFIGURATION, "a setting is wrong"),
        (TRY_LATER, "the database or the lease was away"),
        (INTERNAL, "an uncaught exception"),
        (-signal.SIGSEGV, "SIGSEGV"),
        (-signal.SIGKILL, "SIGKILL"),
        (-40, ""),
    ],
)
def test_a_code_is_told_in_words(code: int, words: str) -> None:
    assert cause_of(code) == words


def test_a_memory_kill_is_told_from_another_kill() -> None:
    assert cause_of(-signal.SIGKILL, memory_kill=True) == "SIGKILL, out of memory"
    assert cause_of(-signal.SIGTERM, memory_kill=True) == "SIGTERM"

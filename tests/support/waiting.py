"""Waiting for something to become true, instead of sleeping and hoping."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")

INTERVAL_SECONDS = 0.02


def wait_until(condition: Callable[[], Value], timeout_seconds: float = 5.0, what: str = "") -> Value:
    """What `condition` returns once that is truthy; AssertionError naming `what` after the timeout."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        if value := condition():
            return value
        if time.monotonic() > deadline:
            name = what or getattr(condition, "__name__", "the condition")
            raise AssertionError(f"waited {timeout_seconds:g} s in vain for: {name} (last: {value!r})")
        time.sleep(INTERVAL_SECONDS)

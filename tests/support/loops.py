"""Coroutines run to their end in a thread: in this one Playwright may have a loop of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")


def in_a_loop(begin: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """What the coroutine gives."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(lambda: asyncio.run(begin())).result()

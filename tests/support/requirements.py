"""What a test needs and this machine may not have: a skip by default, a failure where it was promised.

`TALLYMAN_TEST_REQUIRE=docker,postgres` promises them.
"""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def required() -> frozenset[str]:
    """The names that must not be missing."""
    names = os.environ.get("TALLYMAN_TEST_REQUIRE", "").split(",")
    return frozenset(name.strip() for name in names if name.strip())


def missing(name: str, reason: str) -> NoReturn:
    """End the running test, because `name` is not there: fail if it is required, else skip."""
    if name in required():
        pytest.fail(f"{name} is required (TALLYMAN_TEST_REQUIRE), but: {reason}", pytrace=False)
    pytest.skip(f"{name}: {reason}")

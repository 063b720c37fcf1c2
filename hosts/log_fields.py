"""What every log line of this process says of it, whichever of its threads or libraries writes the line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_fields: dict[str, str] = {}


def begin(**fields: str) -> None:
    """From now on all lines have these fields, and none that were set before: ask again after a fork."""
    _fields.clear()
    _fields.update(fields)


def added(event: Mapping[str, Any]) -> dict[str, Any]:
    """The event with the fields; what it says itself wins."""
    return {**event, **{name: value for name, value in _fields.items() if name not in event}}

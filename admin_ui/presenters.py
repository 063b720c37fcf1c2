"""Durations, sizes and texts as people read them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_TENTHS_BELOW = 10
_KIBI = 1024
NOT_MEASURED = "not measured"


def duration_seconds(
    started_at: datetime | None, completed_at: datetime | None, now: datetime
) -> float | None:
    """How long something took, or takes so far; None if it never started."""
    if started_at is None:
        return None
    return round(max(0.0, ((completed_at or now) - started_at).total_seconds()), 3)


def duration(seconds: float | None) -> str:
    """`0.4 s`, `12 s`, `3 min 4 s`, `2 h 5 min`, `3 d 4 h`; empty for None."""
    if seconds is None:
        return ""
    if seconds < _TENTHS_BELOW:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def size(count: int | None) -> str:
    """`512 B`, `1.5 KiB`, `2.0 GiB`; empty for None."""
    if count is None:
        return ""
    value, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < _KIBI:
            break
        value, unit = value / _KIBI, larger
    return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"


def measures(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a run used, as name and text; a figure that nobody took says `not measured`, never 0."""
    return [(name, _measure(figures.get(key), show)) for key, name, show in _MEASURES]


def _measure(figure: Any, show: Callable[[Any], str]) -> str:
    return NOT_MEASURED if figure is None else show(figure)


def moment(at: datetime | None) -> str:
    """`2025-01-31 12:00:00 UTC`; empty for None."""
    return at.strftime("%Y-%m-%d %H:%M:%S %Z") if at else ""


def who_and_when(by: str, at: datetime | None) -> str:
    """As in "[alice, 2026-05-01 12:00]"; empty where nothing is known."""
    when = f"{at:%Y-%m-%d %H:%M %Z}" if at else ""
    known = ", ".join(part for part in (by, when) if part)
    return f"[{known}]" if known else ""


_MEASURES: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("peak_memory_bytes", "Peak memory", size),
    ("average_memory_bytes", "Average memory", size),
    ("cpu_seconds", "CPU time", "{:.2f} s".format),
    ("network_rx_bytes", "Network in", size),
    ("network_tx_bytes", "Network out", size),
    ("block_read_bytes", "Disk read", size),
    ("block_write_bytes", "Disk written", size),
    ("peak_pids", "Peak PIDs", str),
)


def printable(text: str) -> str:
    """The text on one line, without characters that would steer a terminal."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)

"""What charts are drawn from: the answers that js/charts.js reads, and small lines drawn here. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

SPARK_WIDTH, SPARK_HEIGHT = 120, 28


@dataclass(frozen=True, slots=True)
class Series:
    """One line. `colour`: ok, bad, busy, warn or wait; `kind`: line, area or bars; None is a gap.

    `drawn` is what is drawn if that is not the values themselves, as in `stacked`.
    """

    label: str
    values: Sequence[float | None]
    colour: str = "busy"
    kind: str = "line"
    drawn: Sequence[float | None] | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """A line across: what the values may not pass."""

    label: str
    value: float


def stacked(*series: Series) -> list[Series]:
    """Each of them on top of those before it, in the order to draw them in; a gap adds nothing."""
    below: list[float] = [0.0] * max((len(one.values) for one in series), default=0)
    found = []
    for one in series:
        below = [under + (value or 0.0) for under, value in zip(below, one.values, strict=True)]
        found.append(replace(one, drawn=below))
    return found[::-1]


def answer(
    times: Sequence[float],
    series: Sequence[Series],
    *,
    unit: str,
    summary: str,
    limit: Limit | None = None,
    is_final: bool = False,
) -> dict[str, Any]:
    """The JSON of a chart. `times` are Unix seconds, ascending; `unit`: count, bytes, percent or seconds.

    `summary` is the chart in one sentence, for those who cannot see it, and what stands there without data.
    """
    return {
        "times": list(times),
        "series": [asdict(one) for one in series],
        "unit": unit,
        "summary": summary,
        "limit": asdict(limit) if limit else None,
        "is_final": is_final,
    }


def spark(values: Sequence[float | None], *, top: float | None = None) -> list[str]:
    """The points of a small line, a string for each run without a gap; `top` ends its scale."""
    known = [value for value in values if value is not None]
    highest = top or max(known, default=0.0) or 1.0
    step = SPARK_WIDTH / max(1, len(values) - 1)
    runs: list[list[str]] = [[]]
    for place, value in enumerate(values):
        if value is None:
            runs.append([])
            continue
        height = SPARK_HEIGHT - 2 - min(1.0, value / highest) * (SPARK_HEIGHT - 4)
        runs[-1].append(f"{place * step:.1f},{height:.1f}")
    return [" ".join(run) for run in runs if run]

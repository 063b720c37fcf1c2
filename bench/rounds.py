"""Measuring sides in turn, and what is said of the numbers.

A machine is faster in one minute than in the next, so only what was measured in the same round is compared:
a ratio is the median of the rounds' own ratios, never one side's median over the other's.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Series:
    """One number of each round."""

    values: Sequence[float]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def over(self, other: Series) -> Series:
        """Round by round, how many times the other's number it is."""
        return Series([mine / theirs for mine, theirs in zip(self.values, other.values, strict=True)])

    def __str__(self) -> str:
        return f"{short(self.median)} ({short(min(self.values))}-{short(max(self.values))})"


def short(number: float) -> str:
    """Three digits that matter."""
    if number >= 100:
        return f"{number:,.0f}"
    return f"{number:.1f}" if number >= 10 else f"{number:.2f}"


def in_turn(sides: Mapping[str, Callable[[], float]], rounds: int = ROUNDS) -> dict[str, Series]:
    """Measure every side once a round, each round in the opposite order of the one before."""
    values: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        names = list(sides) if number % 2 == 0 else list(reversed(sides))
        for name in names:
            values[name].append(sides[name]())
            say(f"  round {number + 1}: {name}: {short(values[name][-1])}")
    return {name: Series(numbers) for name, numbers in values.items()}


def say(text: str) -> None:
    """Progress, apart from the results."""
    print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One target, and whether it was met."""

    claim: str
    measured: str
    met: bool

    def __str__(self) -> str:
        return f"{'PASS' if self.met else 'FAIL'}: {self.claim}: {self.measured}"


@dataclass(slots=True)
class Result:
    """What one part found out."""

    letter: str
    title: str
    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def at_least(self, claim: str, measured: float, target: float) -> None:
        """Note the verdict on something that shall be large."""
        self.verdicts.append(
            Verdict(f"{claim} at least {short(target)}", short(measured), measured >= target)
        )

    def at_most(self, claim: str, measured: float, target: float) -> None:
        """Note the verdict on something that shall be small."""
        self.verdicts.append(Verdict(f"{claim} under {short(target)}", short(measured), measured < target))

    def markdown(self) -> str:
        """A heading, a table, the verdicts and the notes."""
        widths = [max(len(cell) for cell in column) for column in zip(self.columns, *self.rows, strict=True)]
        lines = [_row(self.columns, widths), _row(["-" * width for width in widths], widths)]
        lines += [_row(row, widths) for row in self.rows]
        parts = [f"### ({self.letter}) {self.title}", "\n".join(lines)]
        parts += ["\n".join(f"- {verdict}" for verdict in self.verdicts)] if self.verdicts else []
        return "\n\n".join([*parts, *self.notes])


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"

"""What the readings of one attempt come to: totals, when they may be told, and which readings to keep. Pure.

A figure is told only of a run of a second or more that the readings cover; else it is None, which every
screen shows as `not measured`. Counters (CPU, network, block I/O) grow, so the last reading tells them, if it
came late enough in the run; a mean and a peak of readings need readings all along.

The peak of memory. The kernel keeps one too, which misses nothing, but counts the page cache, which a job
fills by reading a file and which is no need of memory. It counts the engine's own steps in the container
before the job's first instruction, too (some 10 MB). So the kernel's peak counts only

* once it has grown since the first reading: before, it may be the engine's,
* less the largest page cache that any reading saw (what is left was in use at that moment), and
* not from a container that came up against its limit: there it is the limit, full of page cache.

Told is whichever is more, that or the largest reading. It is too much only after a page cache that came and
went between two readings, and too little after a spike of memory between them with page cache around.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from hosts.executors.contract import Usage

COUNTERS = (
    "cpu_seconds",
    "network_rx_bytes",
    "network_tx_bytes",
    "block_read_bytes",
    "block_write_bytes",
)
FIGURES = ("peak_memory_bytes", "average_memory_bytes", *COUNTERS, "peak_pids")

# What the engine itself does in a container before the job's first instruction is read with it; in a shorter
# run that would be most of the figure.
_SHORTEST_SECONDS = 1.0
_COVERED = 0.8  # of the run: with less, a figure would be a guess
_LONGEST_GAP_SECONDS = 30.0  # between two readings: longer, and nobody knows what was between them


@dataclass(slots=True)
class UsageTotals:
    """What all readings so far come to; None while nothing was measured.

    Times are seconds of the engine's clock. `byte_seconds` is memory times how long it was held, over the
    `covered_seconds` for which that is known.
    """

    first_at: float | None = None
    last_at: float | None = None
    covered_seconds: float = 0.0
    memory_bytes: int | None = None
    memory_at: float | None = None
    byte_seconds: float = 0.0
    weighed_seconds: float = 0.0
    highest_reading_bytes: int | None = None
    first_high_bytes: int | None = None
    high_bytes: int | None = None
    most_cache_bytes: int = 0
    cpu_seconds: float | None = None
    network_rx_bytes: int | None = None
    network_tx_bytes: int | None = None
    block_read_bytes: int | None = None
    block_write_bytes: int | None = None
    peak_pids: int | None = None

    def add(self, usage: Usage) -> None:
        """Take one more reading in."""
        at = usage.at.timestamp() if usage.at else None
        self._add_memory(usage, at)
        self._add_high(usage)
        if usage.pids is not None:
            self.peak_pids = max(self.peak_pids or 0, usage.pids)
        for name in COUNTERS:
            value = getattr(usage, name)
            if value is not None:
                setattr(self, name, max(getattr(self, name) or 0, value))
        if at is not None:
            self.covered_seconds += _gap(self.last_at, at)
            self.first_at = at if self.first_at is None else self.first_at
            self.last_at = at

    def _add_memory(self, usage: Usage, at: float | None) -> None:
        if usage.memory_bytes is None:
            return
        gap = _gap(self.memory_at, at)
        self.byte_seconds += gap * ((self.memory_bytes or 0) + usage.memory_bytes) / 2
        self.weighed_seconds += gap
        self.memory_bytes, self.memory_at = usage.memory_bytes, at
        self.highest_reading_bytes = max(self.highest_reading_bytes or 0, usage.memory_bytes)

    def _add_high(self, usage: Usage) -> None:
        self.most_cache_bytes = max(self.most_cache_bytes, usage.cache_bytes or 0)
        self.high_bytes = usage.memory_high_bytes
        if self.first_high_bytes is None:
            self.first_high_bytes = usage.memory_high_bytes

    @property
    def peak_memory_bytes(self) -> int | None:
        """The most memory that the container is known to have held; see the module."""
        if self.highest_reading_bytes is None:
            return None
        grown = None not in (self.high_bytes, self.first_high_bytes) and (
            (self.high_bytes or 0) > (self.first_high_bytes or 0)
        )
        kernels = (self.high_bytes or 0) - self.most_cache_bytes if grown else 0
        return max(self.highest_reading_bytes, kernels)

    @property
    def average_memory_bytes(self) -> int | None:
        """The mean over time: readings close together do not count for more."""
        return round(self.byte_seconds / self.weighed_seconds) if self.weighed_seconds else self.memory_bytes

    def so_far(self) -> dict[str, Any]:
        """Every figure as of the last reading, of a container that still runs or was lost sight of."""
        return {name: getattr(self, name) for name in FIGURES}

    def told(self, started_at: datetime | None, finished_at: datetime | None) -> dict[str, Any]:
        """Every figure of a run from its start to its end by the engine's clock; None: not measured."""
        figures = self.so_far()
        if started_at is None or finished_at is None:
            return figures
        run_seconds = (finished_at - started_at).total_seconds()
        if run_seconds < _SHORTEST_SECONDS or not self._reaches(finished_at.timestamp(), run_seconds):
            return dict.fromkeys(FIGURES)
        head = _gap(started_at.timestamp(), self.first_at)
        if self.covered_seconds + head < _COVERED * run_seconds:
            figures |= {"average_memory_bytes": None, "peak_pids": None}
            if self.high_bytes is None:  # the kernel's peak spans what no reading covers
                figures["peak_memory_bytes"] = None
        return figures

    def _reaches(self, finished_at: float, run_seconds: float) -> bool:
        return self.last_at is not None and finished_at - self.last_at <= (1 - _COVERED) * run_seconds

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> UsageTotals:
        """What was stored as JSON of its fields; what another version of the program added is left out."""
        return cls(**_known(cls, stored))


def _known(kind: Any, stored: dict[str, Any]) -> dict[str, Any]:
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in stored.items() if name in names}


def _gap(before: float | None, after: float | None) -> float:
    """Seconds between two readings for which the one tells of the other; 0 if too far apart."""
    if before is None or after is None:
        return 0.0
    seconds = max(0.0, after - before)
    return seconds if seconds <= _LONGEST_GAP_SECONDS else 0.0


@dataclass(slots=True)
class Series:
    """Which readings of an attempt are kept for a chart: never more than `MOST`, however long it runs.

    When the series is full, every other sample goes and the time between two of them doubles.
    """

    MOST = 240
    _FIRST_SECONDS = 5.0
    _LONGEST_UNWRITTEN_SECONDS = 60.0

    kept: int = 0
    every_seconds: float = _FIRST_SECONDS
    kept_at: float | None = None
    written_at: float | None = None

    def is_due(self, at: float) -> bool:
        """Whether the totals shall be written: with each kept sample, and once a minute at least."""
        patience = min(self.every_seconds, self._LONGEST_UNWRITTEN_SECONDS)
        return _is_over(self.written_at, at, patience)

    def after(self, at: float) -> tuple[Series, bool, bool]:
        """The series once a reading of this time is written; whether to keep it, and to thin before."""
        if not _is_over(self.kept_at, at, self.every_seconds):
            return Series(self.kept, self.every_seconds, self.kept_at, at), False, False
        if self.kept < self.MOST:
            return Series(self.kept + 1, self.every_seconds, at, at), True, False
        return Series(self.kept // 2 + 1, 2 * self.every_seconds, at, at), True, True

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Series:
        """As for the totals."""
        return cls(**_known(cls, stored))


def _is_over(since: float | None, at: float, seconds: float) -> bool:
    # A clock that was set back must not stop the series.
    return since is None or at < since or at - since >= 0.9 * seconds

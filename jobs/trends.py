"""What ended over the last day and week: for charts, rates and durations, from the tallies.

The tallies of a minute do not change any more once it is long over, so a process reads them once, and
afterwards only what came since: a page asks for a week, and a million ends cost it nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any

from django.db.models import F, Func, IntegerField, QuerySet, Sum, Value
from django.db.models.functions import Cast

from jobs.models import Tally
from jobs.states import Outcome
from jobs.totals import Total

# An end is counted in the minute in which its transaction began; none lasts, no two clocks differ as much.
_SETTLED = timedelta(hours=1)
_NAMES = tuple(Total.__dataclass_fields__)
_NOTHING = Total()

# Not failures: nobody is to be told of what somebody wanted.
FINE = frozenset({Outcome.SUCCEEDED.value, Outcome.CANCELLED.value})

# (Unix seconds at which the step begins, template or "", outcome)
Key = tuple[int, str, str]


class _UnixSeconds(Func):
    """A moment as whole Unix seconds."""

    output_field = IntegerField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(
            compiler, connection, template="EXTRACT(EPOCH FROM %(expressions)s)::bigint", **context
        )

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(
            compiler, connection, template="CAST(strftime('%%%%s', %(expressions)s) AS INTEGER)", **context
        )


class Trend:
    """The newest `steps` steps of time, the one that is under way included; safe for several threads."""

    def __init__(self, *, step: timedelta, steps: int, by_template: bool = False) -> None:
        """`by_template`: each template apart; else their sums, under the name ""."""
        self.step_seconds = int(step.total_seconds())
        self._steps, self._by_template = steps, by_template
        self._lock = Lock()
        self.forget()

    def forget(self) -> None:
        """Read everything anew the next time."""
        self._settled: dict[Key, Total] = {}
        self._until: datetime | None = None

    def starts(self, now: datetime) -> list[int]:
        """When each of the steps begins, in Unix seconds, oldest first."""
        last = int(self._floor(now).timestamp())
        return [last - back * self.step_seconds for back in reversed(range(self._steps))]

    def starts_now(self) -> list[int]:
        """The same, of now."""
        return self.starts(datetime.now(UTC))

    def read(self, now: datetime | None = None) -> dict[Key, Total]:
        """What ended in each step; steps in which nothing did are not there."""
        now = now or datetime.now(UTC)
        first = datetime.fromtimestamp(self.starts(now)[0], UTC)
        with self._lock:
            until = max(first, self._floor(now - _SETTLED))
            if self._until is None or until > self._until:
                since = max(first, self._until or first)
                past = Tally.objects.filter(minute__gte=since, minute__lt=until)
                self._settled = {
                    key: total for key, total in self._settled.items() if key[0] >= first.timestamp()
                }
                self._settled |= self._read(past)
                self._until = until
            return self._settled | self._read(Tally.objects.filter(minute__gte=self._until))

    def _floor(self, moment: datetime) -> datetime:
        return datetime.fromtimestamp(int(moment.timestamp()) // self.step_seconds * self.step_seconds, UTC)

    def _read(self, rows: QuerySet[Tally]) -> dict[Key, Total]:
        step = Cast(_UnixSeconds(F("minute")), IntegerField()) / Value(self.step_seconds)
        columns = ("step", "template_name", "outcome") if self._by_template else ("step", "outcome")
        grouped = rows.order_by().annotate(step=step).values_list(*columns)
        sums = {f"sum_{name}": Sum(name) for name in _NAMES}
        found = {}
        for number, *rest in grouped.annotate(**sums):
            template = rest.pop(0) if self._by_template else ""
            outcome, *totals = rest
            found[number * self.step_seconds, template, outcome] = Total(*totals)
        return found


DAY = Trend(step=timedelta(minutes=5), steps=288)
WEEK = Trend(step=timedelta(hours=3), steps=56, by_template=True)


def summed(totals: Iterable[Total]) -> Total:
    """All of them together."""
    return sum(totals, start=_NOTHING)


def split(found: Mapping[Key, Total]) -> tuple[Total, Total]:
    """What went well (or was cancelled), and what failed."""
    fine = summed(total for (_, _, outcome), total in found.items() if outcome in FINE)
    return fine, summed(total for (_, _, outcome), total in found.items() if outcome not in FINE)


_BUCKETS = ("within_1s", "within_10s", "within_1m", "within_10m", "within_1h")
BOUNDS = dict(zip(_BUCKETS, (1, 10, 60, 600, 3600), strict=True))


def within(total: Total, share: float) -> float | None:
    """In how many seconds that share of the runs had ended: the bound of the bucket that says so.

    `inf`: it took them longer than any bound. None: nothing ran.
    """
    counts = [getattr(total, name) for name in _BUCKETS]
    everything = sum(counts) + total.beyond_1h
    if not everything:
        return None
    so_far = 0
    for bound, count in zip(BOUNDS.values(), counts, strict=True):
        so_far += count
        if so_far >= share * everything:
            return float(bound)
    return float("inf")

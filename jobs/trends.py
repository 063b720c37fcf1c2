"""What ended over the last day and week: for charts, rates and durations, from the tallies.

The tallies of a minute do not change any more once it is long over. So a clerk sums up the hours that are
(`sum_up_hours`), and a process reads what is over once, and afterwards only what came since: a page asks for
a week, and a million ends cost it nothing, not even the first time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any

from django.db import transaction
from django.db.models import F, Func, IntegerField, Max, QuerySet, Sum, Value
from django.db.models.functions import Cast

from jobs.models import HourTally, Tally
from jobs.states import Outcome
from jobs.totals import Total

# An end is counted in the minute in which its transaction began; none lasts, no two clocks differ as much.
_SETTLED = timedelta(hours=1)
_NAMES = tuple(Total.__dataclass_fields__)
_NOTHING = Total()
_HOUR = timedelta(hours=1)
# As many hours are summed up in one transaction, which then reads some ten thousand rows at most.
_HOURS_AT_ONCE = 6
# A week, and the step that is under way.
_HOURS_KEPT = timedelta(days=8)

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
                self._settled = {
                    key: total for key, total in self._settled.items() if key[0] >= first.timestamp()
                }
                self._settled |= self._read_past(since, until)
                self._until = until
            return self._settled | self._read(Tally.objects.filter(minute__gte=self._until), "minute")

    def _read_past(self, since: datetime, until: datetime) -> dict[Key, Total]:
        """By hours as far as they are summed up, if steps are of whole hours; by minutes from there on."""
        found: dict[Key, Total] = {}
        in_hours = None if self.step_seconds % _HOUR.total_seconds() else _summed_up_until()
        if in_hours and in_hours > since:
            end = min(in_hours, until)
            found = self._read(HourTally.objects.filter(hour__gte=since, hour__lt=end), "hour")
            since = end
        for key, total in self._read(
            Tally.objects.filter(minute__gte=since, minute__lt=until), "minute"
        ).items():
            found[key] = found.get(key, _NOTHING) + total
        return found

    def _floor(self, moment: datetime) -> datetime:
        return datetime.fromtimestamp(int(moment.timestamp()) // self.step_seconds * self.step_seconds, UTC)

    def _read(self, rows: QuerySet[Any], moment: str) -> dict[Key, Total]:
        step = Cast(_UnixSeconds(F(moment)), IntegerField()) / Value(self.step_seconds)
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


def sum_up_hours(now: datetime | None = None) -> bool:
    """Sum up the oldest hours that are long over and not summed up yet; False if there are none.

    For one clerk at a time; two would write the same rows, and the second one's are let go.
    """
    now = now or datetime.now(UTC)
    oldest, settled = now - _HOURS_KEPT, _hour(now - _SETTLED)
    since = max(_hour(oldest) + _HOUR, _summed_up_until() or oldest)
    left = Tally.objects.filter(minute__gte=since, minute__lt=settled).order_by("minute")
    first = left.values_list("minute", flat=True).first()
    if first is None:
        return False
    starts = [_hour(first) + _HOUR * number for number in range(_HOURS_AT_ONCE)]
    with transaction.atomic():
        for hour in starts:
            if hour < settled:
                _sum_up(hour)
        HourTally.objects.filter(hour__lt=oldest).delete()
    return True


def _sum_up(hour: datetime) -> None:
    rows = Tally.objects.filter(minute__gte=hour, minute__lt=hour + _HOUR).order_by()
    sums = {f"sum_{name}": Sum(name) for name in _NAMES}
    found = rows.values_list("template_name", "outcome").annotate(**sums)
    HourTally.objects.bulk_create(
        (
            HourTally(
                hour=hour,
                template_name=template,
                outcome=outcome,
                **dict(zip(_NAMES, totals, strict=True)),
            )
            for template, outcome, *totals in found
        ),
        ignore_conflicts=True,
    )


def _summed_up_until() -> datetime | None:
    """The end of the newest hour that is summed up: all before it is, too, as far as it is kept."""
    newest: datetime | None = HourTally.objects.aggregate(newest=Max("hour"))["newest"]
    return newest + _HOUR if newest else None


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


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

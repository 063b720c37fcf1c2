"""Ended attempts, counted since the beginning: what counters of metrics need, which may never fall.

The tallies of a minute do not change any more once it is long over, so a process sums them up once, and
afterwards reads only what came since. What retention deletes is added to `TallySum` in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet, Sum

from hosts import retention
from jobs.models import Tally, TallySum

# An end is counted in the minute in which its transaction began; none lasts, no two clocks differ as much.
_SETTLED = timedelta(hours=1)
_KEY = ("host_name", "template_name", "outcome")

Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Total:
    """Attempts of one host, template and outcome; the `within_` counts are each apart, as in a `Tally`."""

    count: int = 0
    seconds: float = 0.0
    log_bytes: int = 0
    within_1s: int = 0
    within_10s: int = 0
    within_1m: int = 0
    within_10m: int = 0
    within_1h: int = 0
    beyond_1h: int = 0

    def __add__(self, other: Total) -> Total:
        return Total(*(getattr(self, name) + getattr(other, name) for name in _NAMES))


_NAMES = tuple(field.name for field in fields(Total))
_NOTHING = Total()
Totals = dict[Key, Total]


class Counter:
    """The totals of one database, for one process; safe to be used by several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._settled: Totals = {}
        self._until: datetime | None = None

    def read(self) -> Totals:
        """The totals by (host, template, outcome) as of now."""
        with self._lock:
            self._settle((datetime.now(UTC) - _SETTLED).replace(minute=0, second=0, microsecond=0))
            return _added(self._settled, _sums(Tally.objects.filter(minute__gte=self._until)))

    def _settle(self, until: datetime) -> None:
        if self._until is None:
            # One statement, so one moment: a tally that is being folded counts in one of the two.
            past = Tally.objects.filter(minute__lt=until)
            self._settled = _added({}, _sums(past, TallySum.objects.all()))
        elif until > self._until:
            past = Tally.objects.filter(minute__gte=self._until, minute__lt=until)
            self._settled = _added(self._settled, _sums(past))
        else:
            return
        self._until = until


def _sums(*counted: QuerySet[Any]) -> Iterable[tuple[Any, ...]]:
    """Rows of key and sums; of several tables in one statement, where a key may come more than once."""
    sums = {f"sum_{name}": Sum(name) for name in _NAMES}
    first, *others = (rows.order_by().values_list(*_KEY).annotate(**sums) for rows in counted)
    found: Iterable[tuple[Any, ...]] = first.union(*others, all=True) if others else first
    return found


def _added(totals: Mapping[Key, Total], rows: Iterable[tuple[Any, ...]]) -> Totals:
    found = dict(totals)
    for host, template, outcome, *sums in rows:
        key = (host, template, outcome)
        found[key] = found.get(key, _NOTHING) + Total(*sums)
    return found


def fold_oldest(days: float) -> int:
    """Delete a batch of the tallies that are older than that, and keep their sum; how many. 0: none is."""
    with transaction.atomic():
        keys = retention.oldest(Tally, "minute", days=days)
        rows = Tally.objects.select_for_update().filter(pk__in=keys).values_list(*_KEY, *_NAMES)
        for key, total in _added({}, rows).items():
            _add_to_sum(key, total)
        deleted, _ = Tally.objects.filter(pk__in=keys).delete()
    return deleted


def _add_to_sum(key: Key, total: Total) -> None:
    where = dict(zip(_KEY, key, strict=True))
    TallySum.objects.get_or_create(**where, defaults=asdict(_NOTHING))
    TallySum.objects.filter(**where).update(
        **{name: F(name) + value for name, value in asdict(total).items()}
    )

"""How the runs of templates went in the last week, in figures and small lines. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from admin_ui import presenters
from admin_ui.pages.overview.tiles import percent
from jobs import trends
from jobs.totals import Total
from jobs.trends import Key


@dataclass(frozen=True, slots=True)
class Stats:
    """A week of one template. `line` counts the runs that ended in each step, oldest first."""

    runs: int = 0
    failed: int = 0
    rate: str = ""
    tone: str = ""
    usual: str = ""
    slow: str = ""
    average: str = ""
    line: Sequence[float] = ()

    @property
    def drawn(self) -> Sequence[float]:
        """The line without the step that is under way: it would always end in a fall."""
        return self.line[:-1]

    @property
    def summary(self) -> str:
        """The line in words."""
        return _("%(runs)s runs in 7 days, %(failed)s failed") % {"runs": self.runs, "failed": self.failed}


_FAIR, _GOOD = 0.9, 0.99


def by_template(found: Mapping[Key, Total], starts: Sequence[int]) -> dict[str, Stats]:
    """The figures of each template that ran, by its name."""
    apart: dict[str, dict[Key, Total]] = defaultdict(dict)
    for key, total in found.items():
        apart[key[1]][key] = total
    return {name: of(own, starts) for name, own in apart.items()}


def of(found: Mapping[Key, Total], starts: Sequence[int]) -> Stats:
    """The figures of what is given."""
    fine, failed = trends.split(found)
    everything = fine + failed
    if not everything.count:
        return Stats()
    share = fine.count / everything.count
    line = dict.fromkeys(starts, 0.0)
    for (start, _name, _outcome), total in found.items():
        if start in line:
            line[start] += total.count
    return Stats(
        runs=everything.count,
        failed=failed.count,
        rate=percent(share),
        tone="" if share >= _GOOD else "is-warn" if share >= _FAIR else "is-bad",
        usual=within(trends.within(everything, 0.5)),
        slow=within(trends.within(everything, 0.95)),
        average=presenters.duration(everything.seconds / everything.count),
        line=list(line.values()),
    )


_SPANS = {1.0: "1 s", 10.0: "10 s", 60.0: "1 min", 600.0: "10 min", 3600.0: "1 h"}


def within(bound: float | None) -> str:
    """`within 10 s`, `over 1 h`; empty if nothing ran."""
    if bound is None:
        return ""
    return _("within %(span)s") % {"span": _SPANS[bound]} if bound in _SPANS else _("over 1 h")

"""The tabs of the list: a status each, and how many jobs are in it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import Sum
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from admin_ui.pages.jobs.keyset import along
from jobs.models import ContainerJob, Tally
from jobs.states import ENDED_STATUSES, OPEN_STATUSES, JobStatus, Outcome, status_after

COUNTED = 10_000
HOURS = 24
KEPT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Tab:
    """`count` is how many are in it now, or ended in the last 24 hours; empty for all jobs."""

    status: str
    label: str | Promise
    count: str
    is_current: bool
    has_ended: bool
    query: str


def tabs(current: str, queries: dict[str, str]) -> list[Tab]:
    """All of them; `queries` are their addresses' queries by status."""
    counts = {**_open(), **_ended()}
    found = [Tab("", _("All"), "", not current, False, queries[""])]
    for status in JobStatus:
        ended = status in ENDED_STATUSES
        found.append(
            Tab(status, status.label, counts.get(status, "0"), status == current, ended, queries[status])
        )
    return found


def _open() -> dict[str, str]:
    """Counted in the index of the status, and not past `COUNTED`: a long queue must not cost more."""
    counts = {}
    for status in (JobStatus.PENDING, *OPEN_STATUSES):
        jobs = along(ContainerJob.objects.all(), "status", status)
        count = jobs.values("pk")[: COUNTED + 1].count()
        counts[str(status)] = f"{COUNTED:,}+" if count > COUNTED else f"{count:,}"
    return counts


def _ended() -> dict[str, str]:
    """From the tallies, which count each run as it ends; up to `KEPT_SECONDS` late.

    A day has many thousand tallies where there are many hosts, and each open page asks every few seconds.
    """
    read_clock, counts = _kept.get("", (0.0, {}))
    if not counts or time.monotonic() - read_clock >= KEPT_SECONDS:
        counts = _read_ended()
        _kept[""] = (time.monotonic(), counts)
    return counts


_kept: dict[str, tuple[float, dict[str, str]]] = {}


def _read_ended() -> dict[str, str]:
    since = datetime.now(UTC) - timedelta(hours=HOURS)
    rows = Tally.objects.filter(minute__gte=since).order_by().values_list("outcome")
    counts = dict.fromkeys(map(str, ENDED_STATUSES), 0)
    for outcome, count in rows.annotate(sum=Sum("count")):
        counts[status_after(Outcome(outcome))] += count
    return {status: f"{count:,}" for status, count in counts.items()}

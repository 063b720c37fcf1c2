"""The first page: whether all is well, and where to look if not."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from admin_ui import charts
from admin_ui.pages import base
from admin_ui.pages.overview import attention, recent, strip, tiles, waiting
from admin_ui.pages.overview import board as boards
from admin_ui.pages.overview.board import HOSTS, JOBS
from jobs import trends
from jobs.totals import Total
from jobs.trends import Trend


@base.needs()
def dashboard(request: HttpRequest) -> HttpResponseBase:
    """The page."""
    return base.render(
        request,
        "admin_ui/dashboard.html",
        _board(request),
        title=gettext_lazy("Dashboard"),
        section="dashboard",
    )


@base.needs()
def board(request: HttpRequest) -> HttpResponse:
    """Its live part."""
    return base.part(request, "admin_ui/_dashboard.html", _board(request))


@base.needs(JOBS)
def finished(request: HttpRequest) -> HttpResponse:
    """The chart of what ended; `range`: 24h or 7d."""
    trend, span = (
        (trends.WEEK, _("7 days")) if request.GET.get("range") == "7d" else (trends.DAY, _("24 hours"))
    )
    now = timezone.now()
    return JsonResponse(finished_chart(trend, trend.read(now), now, span))


def _board(request: HttpRequest) -> dict[str, Any]:
    found = boards.read(request.user)
    may_jobs, may_hosts = JOBS in found.may, HOSTS in found.may
    concerns = [*attention.of_board(found), *(waiting.concerns(found) if may_jobs else [])]
    return {
        "tiles": list(tiles.tiles(found)),
        "concerns": concerns[: attention.MOST_SHOWN],
        "concerns_left_out": max(0, len(concerns) - attention.MOST_SHOWN),
        "may_jobs": may_jobs,
        "may_hosts": may_hosts,
        "may_add": request.user.has_perm("jobs.add_containerjob"),
        "may_add_host": request.user.has_perm("hosts.add_dockerhost"),
        "cards": strip.cards(found) if may_hosts else [],
        "host_count": len(found.active),
        "running": recent.running() if may_jobs else [],
        "failures": recent.failures() if may_jobs else [],
    }


def finished_chart(
    trend: Trend, found: Mapping[trends.Key, Total], now: datetime, span: str
) -> dict[str, Any]:
    """The JSON of a chart of what ended in each step, failed runs on top of the others."""
    starts = trend.starts(now)
    places = {start: place for place, start in enumerate(starts)}
    fine, failed = [0] * len(starts), [0] * len(starts)
    for (start, _template, outcome), total in found.items():
        if start in places:
            (fine if outcome in trends.FINE else failed)[places[start]] += total.count
    says = {"count": f"{sum(fine) + sum(failed):,}", "failed": f"{sum(failed):,}", "span": span}
    if not sum(fine) + sum(failed):
        return charts.answer([], [], unit="count", summary=_("Nothing ended in the last %(span)s.") % says)
    return charts.answer(
        starts,
        charts.stacked(
            charts.Series(_("Ended well or cancelled"), fine, "ok", "bars"),
            charts.Series(_("Failed"), failed, "bad", "bars"),
        ),
        unit="count",
        summary=_("%(count)s runs ended in the last %(span)s, %(failed)s of them failed.") % says,
    )

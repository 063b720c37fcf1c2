"""The charts of a host, from its samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db.models.functions import Now
from django.http import Http404, HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from admin_ui import presenters
from admin_ui.charts import Limit, Series, answer
from admin_ui.pages import base
from hosts.models import DockerHost, HostSample

RANGES = ((1, gettext_lazy("1 h")), (24, gettext_lazy("24 h")))
_MOST_POINTS = 360


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart: a field of the samples, and how it is said."""

    name: str
    label: str | Promise
    column: str
    unit: str
    says: Callable[[float], str]


CHARTS = (
    Chart("cpu", gettext_lazy("CPU of its machine"), "cpu_percent", "percent", "{:.0f} %".format),
    Chart(
        "memory",
        gettext_lazy("Memory of its machine"),
        "memory_used_bytes",
        "bytes",
        lambda value: presenters.size(int(value)),
    ),
    Chart("jobs", gettext_lazy("Running jobs"), "jobs_running", "count", "{:.0f}".format),
    Chart(
        "disk",
        gettext_lazy("Free disk"),
        "disk_free_bytes",
        "bytes",
        lambda value: presenters.size(int(value)),
    ),
)


@base.needs("hosts.view_dockerhost")
def chart(request: HttpRequest, host_id: UUID, name: str) -> JsonResponse:
    """The data of one chart, `?hours=1` or 24."""
    wanted = next((one for one in CHARTS if one.name == name), None)
    hours = 24 if request.GET.get("hours") == "24" else 1
    if wanted is None:
        raise Http404
    host = get_object_or_404(DockerHost.objects.defer("secret_config"), pk=host_id)
    samples = HostSample.objects.filter(host_id=host_id, at__gt=Now() - timedelta(hours=hours))
    rows = list(samples.order_by("at").values_list("at", wanted.column, "slots"))
    read = [(at.timestamp(), value, slots) for at, value, slots in rows if value is not None]
    response = JsonResponse(_answer(wanted, host, thinned(read, _MOST_POINTS), hours))
    response["Cache-Control"] = "no-store"
    return response


def _answer(
    wanted: Chart, host: DockerHost, points: Sequence[tuple[float, float, int]], hours: int
) -> dict[str, object]:
    label = str(wanted.label)
    if not points:
        text = _(
            "%(label)s: nothing was told in the last %(hours)d h. Only engines on the supervisor's own "
            "machine tell of it."
        )
        if wanted.name == "jobs":
            text = _(
                "%(label)s: nothing was written in the last %(hours)d h. A worker writes it while the "
                "engine answers."
            )
        return answer([], [], unit=wanted.unit, summary=text % {"label": label, "hours": hours})
    times = [at for at, _value, _slots in points]
    values: list[float | None] = [value for _at, value, _slots in points]
    series = [Series(label, values, colour="busy", kind="area")]
    if wanted.name == "jobs":
        series.append(Series(_("Slots"), [slots for _at, _value, slots in points], colour="wait"))
    known = [value for value in values if value is not None]
    says = {"label": label, "hours": hours, "last": wanted.says(known[-1]), "most": wanted.says(max(known))}
    summary = _("%(label)s in the last %(hours)d h: now %(last)s, at most %(most)s.") % says
    return answer(times, series, unit=wanted.unit, summary=summary, limit=_limit(wanted, host))


def _limit(wanted: Chart, host: DockerHost) -> Limit | None:
    if wanted.name == "memory" and host.engine_memory_bytes:
        return Limit(_("All of it"), host.engine_memory_bytes)
    return Limit(_("All CPUs"), 100.0) if wanted.name == "cpu" else None


def thinned(points: Sequence[tuple[float, float, int]], most: int) -> list[tuple[float, float, int]]:
    """At most so many of them, evenly spread, the last one always among them."""
    if len(points) <= most:
        return list(points)
    step = -(-len(points) // most)
    return [point for place, point in enumerate(points) if (len(points) - 1 - place) % step == 0]

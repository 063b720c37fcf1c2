"""The tab of what a job used: figures of the whole run, and charts of the readings that were kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, JsonResponse
from django.utils.translation import gettext as _

from admin_ui import charts, presenters
from admin_ui.charts import Limit, Series
from admin_ui.pages import base
from admin_ui.pages.job import reading
from hosts.errors import ConfigurationError
from hosts.executors import registry
from jobs import usage
from jobs.models import Attempt, ContainerJob
from jobs.samples import Sample
from jobs.samples import samples as stored_samples
from jobs.states import AttemptState

_POINTS = 240
_MEBIBYTE = 1024**2


def body(request: HttpRequest, job: ContainerJob) -> dict[str, Any]:
    """What `job/_resources.html` shows: of the attempt that `?attempt=` names, or the newest."""
    number = request.GET.get("attempt", "")
    attempt = reading.chosen(job, number)
    return {
        "measured_attempt": attempt,
        "charts": [{"key": key, "label": label} for key, label in _labels().items()],
        "figures": _figures(attempt) if attempt else [],
        "is_killed_by_memory": bool(attempt and attempt.oom_killed),
        "tells_nothing": bool(attempt) and not _tells(attempt),
        "numbers": range(job.attempt_count, max(0, job.attempt_count - 10), -1),
    }


def _labels() -> dict[str, str]:
    return {"cpu": _("CPU"), "memory": _("Memory"), "pids": _("Processes"), "network": _("Network")}


def _figures(attempt: Attempt) -> list[tuple[str, str]]:
    known = usage.figures(attempt)
    ran = presenters.duration_seconds(attempt.started_at, attempt.finished_at, attempt.started_at)  # type: ignore[arg-type]
    figures = presenters.measures(known)
    if known["cpu_seconds"] is not None and ran:
        figures.insert(3, (_("Average CPU"), f"{100 * known['cpu_seconds'] / ran:.1f} %"))
    return figures


def _tells(attempt: Attempt | None) -> bool:
    """Whether the executor of its host measures at all; yes if it is not known here."""
    if attempt is None:
        return True
    try:
        return registry.capabilities(attempt.host.executor_type).usage
    except ConfigurationError:
        return True


@base.needs("jobs.view_containerjob")
def chart(request: HttpRequest, job_id: UUID, key: str) -> JsonResponse:
    """The data of one chart (`charts.answer`), thinned out by the database to some hundred points."""
    if key not in _labels():
        raise Http404(f"There is no chart {key!r}.")
    job = reading.job(job_id)
    attempt = reading.chosen(job, request.GET.get("attempt", ""))
    found = stored_samples(attempt.pk, most=_POINTS) if attempt else []
    answer = _ANSWERS[key](attempt, found)
    answer["is_final"] = attempt is not None and attempt.state == AttemptState.ENDED and reading.is_final(job)
    response = JsonResponse(answer)
    response["Cache-Control"] = "no-store"
    return response


def _times(samples: Sequence[Sample]) -> list[float]:
    return [sample.at.timestamp() for sample in samples]


def _nothing(values: Sequence[float | None]) -> bool:
    return all(value is None for value in values)


def rates(times: Sequence[float], counter: Sequence[float | None]) -> list[float | None]:
    """How fast a counter grew up to each moment; None where that is not known."""
    found: list[float | None] = [None]
    for place in range(1, len(times)):
        before, after, gap = counter[place - 1], counter[place], times[place] - times[place - 1]
        known = before is not None and after is not None and after >= before and gap > 0
        found.append((after - before) / gap if known else None)  # type: ignore[operator]  # both are known
    return found[: len(times)]


def _cpu(attempt: Attempt | None, samples: Sequence[Sample]) -> dict[str, Any]:
    times = _times(samples)
    values = [None if one is None else 100 * one for one in rates(times, [s.cpu_seconds for s in samples])]
    cores = _frozen(attempt, "cpu_limit")
    limit = Limit(_("Limit"), 100 * float(cores)) if cores else None
    return _answer(times, [Series(_("CPU"), values, "busy", "area")], "percent", limit, highest=values)


def _memory(attempt: Attempt | None, samples: Sequence[Sample]) -> dict[str, Any]:
    times, values = _times(samples), [sample.memory_bytes for sample in samples]
    megabytes = _frozen(attempt, "memory_limit")
    limit = Limit(_("Limit"), float(megabytes) * _MEBIBYTE) if megabytes else None
    lines = [Series(_("Memory"), values, "busy", "area")]
    killed = attempt is not None and attempt.oom_killed
    if killed and times:
        top = limit.value if limit else max((value or 0 for value in values), default=0)
        marks = [None] * (len(times) - 1) + [top]
        lines.append(Series(_("Killed: out of memory"), marks, "bad", "bars"))
    answer = _answer(times, lines, "bytes", limit, highest=values)
    if killed:
        answer["summary"] += " " + _("It was killed because it ran out of memory.")
    return answer


def _pids(attempt: Attempt | None, samples: Sequence[Sample]) -> dict[str, Any]:
    times, values = _times(samples), [sample.pids for sample in samples]
    return _answer(times, [Series(_("Processes"), values, "busy")], "count", None, highest=values)


def _network(attempt: Attempt | None, samples: Sequence[Sample]) -> dict[str, Any]:
    times = _times(samples)
    received = rates(times, [sample.network_rx_bytes for sample in samples])
    sent = rates(times, [sample.network_tx_bytes for sample in samples])
    lines = [Series(_("In, a second"), received, "busy"), Series(_("Out, a second"), sent, "ok")]
    return _answer(times, lines, "bytes", None, highest=[*received, *sent])


_ANSWERS = {"cpu": _cpu, "memory": _memory, "pids": _pids, "network": _network}
_SHOWN = {
    "percent": lambda value: f"{value:.1f} %",
    "bytes": lambda value: presenters.size(round(value)),
    "count": lambda value: f"{value:g}",
}


def _frozen(attempt: Attempt | None, name: str) -> Any:
    """A number of what the attempt runs, read without the rest of it."""
    if attempt is None:
        return None
    value = Attempt.objects.filter(pk=attempt.pk).values_list(f"spec__{name}", flat=True).first()
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _answer(
    times: Sequence[float],
    lines: Sequence[Series],
    unit: str,
    limit: Limit | None,
    *,
    highest: Sequence[float | None],
) -> dict[str, Any]:
    if _nothing(highest):
        return charts.answer([], lines, unit=unit, summary=_("Not measured."))
    top = max(value for value in highest if value is not None)
    summary = _("%(label)s: at most %(top)s in %(count)s readings.") % {
        "label": lines[0].label,
        "top": _SHOWN[unit](top),
        "count": len(times),
    }
    return charts.answer(times, lines, unit=unit, summary=summary, limit=limit)

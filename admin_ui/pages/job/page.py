"""The page of one job: its upper part and one tab at a time, both live until the job has ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from admin_ui.pages import base, log
from admin_ui.pages.job import attempts, configuration, events, head, metadata, reading, resources
from jobs.models import ContainerJob

VIEW = "jobs.view_containerjob"

Context = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Tab:
    """`body` is what it shows. `every`: after how many seconds its live part asks; 0: it has none."""

    key: str
    label: str | Promise
    icon: str
    body: Callable[[HttpRequest, ContainerJob], Context]
    every: int = 5

    @property
    def template(self) -> str:
        """The whole tab, in which its live part stands."""
        return f"admin_ui/job/{self.key}.html"

    @property
    def part(self) -> str:
        """Its live part."""
        return f"admin_ui/job/_{self.key}.html"


def _logs(request: HttpRequest, job: ContainerJob) -> Context:
    attempt = reading.chosen(job, request.GET.get("attempt", ""))
    return log.viewer_context(request, job, attempt)


TABS = (
    Tab("logs", _("Logs"), "terminal", _logs, every=0),
    Tab("resources", _("Resources"), "activity", resources.body),
    Tab("configuration", _("Configuration"), "sliders", configuration.body, every=10),
    Tab("metadata", _("Metadata"), "info-circle", metadata.body),
    Tab("attempts", _("Attempts"), "arrow-repeat", attempts.body),
    Tab("events", _("Events"), "clock-history", events.body),
)
_BY_KEY = {tab.key: tab for tab in TABS}


@base.needs(VIEW)
def page(request: HttpRequest, job_id: UUID) -> HttpResponseBase:
    """`?tab=` is one of TABS."""
    job = reading.job(job_id)
    tab = _tab(request.GET.get("tab") or TABS[0].key)
    context = {
        **head.context(request, job),
        **tab.body(request, job),
        "tabs": TABS,
        "tab": tab,
        "chosen": request.GET.get("attempt", ""),
        "query": request.GET.urlencode(),
    }
    return base.render(request, "admin_ui/job/page.html", context, title=str(job), section="jobs")


@base.needs(VIEW)
def part_head(request: HttpRequest, job_id: UUID) -> HttpResponse:
    """The live upper part."""
    job = reading.job(job_id)
    context = head.context(request, job)
    return base.part(request, "admin_ui/job/_head.html", context, is_final=reading.is_final(job))


@base.needs(VIEW)
def part_tab(request: HttpRequest, job_id: UUID, key: str) -> HttpResponse:
    """The live part of a tab, by the same query as its page."""
    job, tab = reading.job(job_id), _tab(key)
    if not tab.every:
        raise Http404(f"The tab {key} has no live part.")
    context = {**tab.body(request, job), "job": job, "is_final": reading.is_final(job)}
    return base.part(request, tab.part, context, is_final=reading.is_final(job))


def _tab(key: str) -> Tab:
    try:
        return _BY_KEY[key]
    except KeyError:
        raise Http404(f"There is no tab {key!r}.") from None

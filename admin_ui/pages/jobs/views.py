"""The list of jobs: its page, and the part of it that is live."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from admin_ui import acts
from admin_ui.pages import base
from admin_ui.pages.jobs import rows, saved, search, tabs
from admin_ui.pages.jobs.filters import Filters
from admin_ui.pages.jobs.keyset import NEWEST_FIRST, Key
from admin_ui.pages.jobs.search import Page, Search
from hosts.models import DockerHost
from jobs.models import ContainerJob, ContainerTemplate
from jobs.states import JobStatus

VIEW = "jobs.view_containerjob"
_OFFERED = 200
_NO_JOBS = Page([], None, None)


@base.needs(VIEW)
def jobs(request: HttpRequest) -> HttpResponseBase:
    """The page."""
    filters = Filters(request.GET)
    listed = _listed(request, filters, None)
    context = {
        **listed,
        "views": saved.seen_by(request.user),
        "template_names": _names(ContainerTemplate),
        "host_names": _names(DockerHost),
        "part_query": _part_query(request, filters, listed["top"]),
        "verbs": [verb for verb in acts.VERBS.values() if request.user.has_perm(verb.permission)],
        "most": search.MOST_AT_ONCE,
    }
    return base.render(request, "admin_ui/jobs/list.html", context, title=_("Jobs"), section="jobs")


@base.needs(VIEW)
def part(request: HttpRequest) -> HttpResponse:
    """Tabs and rows; the address has the filters, and from where on the rows are."""
    filters = Filters(request.GET)
    return base.part(request, "admin_ui/jobs/_list.html", _listed(request, filters, _key(request, "top")))


def _listed(request: HttpRequest, filters: Filters, top: Key | None) -> dict[str, Any]:
    wanted = filters.read()
    queries = {status: filters.query(status=status) for status in ["", *JobStatus.values]}
    page = _NO_JOBS
    newer = 0
    if wanted:
        found = Search(wanted, rows.jobs())
        page, is_first = _page(request, found, top)
        newer = found.newer(top) if top and is_first else 0
        top = (top or _top(page)) if is_first else None
    may_change = request.user.has_perm(acts.VERBS["cancel"].permission)
    may_add = request.user.has_perm("jobs.add_containerjob")
    return {
        "filters": filters,
        "query": filters.query(),
        "tabs": tabs.tabs(filters.given.get("status", ""), queries),
        "rows": rows.rows(page.jobs, rows.Linker(request.user)),
        "page": page,
        "page_size": search.PAGE,
        "window": f"{search.WINDOW:,}",
        "top": top,
        "new_count": newer,
        "new_counted": search.NEW_COUNTED,
        "may_change": may_change,
        "may_add": may_add,
        "has_acts": may_change or may_add,
    }


def _page(request: HttpRequest, found: Search, top: Key | None) -> tuple[Page, bool]:
    """The page that is asked for, and whether it is the first."""
    if after := _key(request, "after"):
        return found.after(after), False
    if before := _key(request, "before"):
        page = found.before(before)
        return page, page.newer is None
    return found.first(top), True


def _top(page: Page) -> Key | None:
    """Up to where the live rows are: newer jobs do not push them down, but are told of."""
    if page.jobs:
        return Key.of(page.jobs[0])
    newest = ContainerJob.objects.order_by(*NEWEST_FIRST).only("created_at", "id").first()
    return Key.of(newest) if newest else None


def _part_query(request: HttpRequest, filters: Filters, top: Key | None) -> str:
    place = {name: request.GET[name] for name in ("after", "before") if name in request.GET and not top}
    return f"{reverse('admin:part_jobs')}?{filters.query(**place, top=str(top or ''))}"


def _key(request: HttpRequest, name: str) -> Key | None:
    return Key.parse(request.GET.get(name, ""))


def _names(model: Any) -> list[str]:
    return list(
        model.objects.filter(archived_at=None).order_by("name").values_list("name", flat=True)[:_OFFERED]
    )

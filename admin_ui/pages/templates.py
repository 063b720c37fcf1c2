"""The templates: how their runs went, and where they may run now."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.core.paginator import Page, Paginator
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext_lazy as _

from admin_ui.pages import base, template_stats
from admin_ui.pages.overview.board import HOSTS, JOBS, TEMPLATES
from jobs import explain, trends
from jobs.models import ContainerJob, ContainerTemplate

PAGE_SIZE = 25
SHELVES = {"active": _("In use"), "archived": _("Archived"), "all": _("All")}


@base.needs(TEMPLATES)
def page(request: HttpRequest) -> HttpResponseBase:
    """The page; `q`, `show` and `page` of its address say what it lists."""
    return base.render(
        request, "admin_ui/templates.html", _context(request), title=_("Templates"), section="templates"
    )


@base.needs(TEMPLATES)
def rows(request: HttpRequest) -> HttpResponse:
    """Its live part."""
    return base.part(request, "admin_ui/_templates.html", _context(request))


def _context(request: HttpRequest) -> dict[str, Any]:
    query, show = request.GET.get("q", "").strip()[:200].replace("\0", ""), request.GET.get("show", "active")
    show = show if show in SHELVES else "active"
    may_jobs, may_hosts = request.user.has_perm(JOBS), request.user.has_perm(HOSTS)
    listed = Paginator(_found(query, show), PAGE_SIZE).get_page(request.GET.get("page"))
    kept = {
        name: value for name, value in (("q", query), ("show", show if show != "active" else "")) if value
    }
    return {
        "query": query,
        "show": show,
        "shelves": [(name, label, urlencode({**kept, "show": name})) for name, label in SHELVES.items()],
        "kept": urlencode(kept),
        "address": urlencode({**kept, **({"page": listed.number} if listed.number > 1 else {})}),
        "listed": listed,
        "rows": _rows(listed, may_jobs=may_jobs, may_hosts=may_hosts),
        "may_jobs": may_jobs,
        "may_hosts": may_hosts,
        "may_add": request.user.has_perm("jobs.add_containertemplate"),
        "may_run": request.user.has_perm("jobs.add_containerjob"),
        "may_change": request.user.has_perm("jobs.change_containertemplate"),
    }


def _found(query: str, show: str) -> QuerySet[ContainerTemplate]:
    found = ContainerTemplate.objects.order_by("name")
    if show != "all":
        found = found.filter(archived_at__isnull=show == "active")
    for word in query.split():
        found = found.filter(
            Q(name__icontains=word) | Q(docker_image__icontains=word) | Q(description__icontains=word)
        )
    newest = ContainerJob.objects.filter(template=OuterRef("pk")).order_by("-created_at", "-id")
    return found.annotate(newest_id=Subquery(newest.values("pk")[:1])).prefetch_related("network_assignments")


def _rows(listed: Page[ContainerTemplate], *, may_jobs: bool, may_hosts: bool) -> list[dict[str, Any]]:
    templates = list(listed)
    stats = template_stats.by_template(trends.WEEK.read(), trends.WEEK.starts_now()) if may_jobs else {}
    newest = _newest(templates) if may_jobs else {}
    places = explain.openings(templates) if may_hosts else {}
    return [
        {
            "template": one,
            "stats": stats.get(one.name, template_stats.Stats()),
            "newest": newest.get(one.pk),
            "place": places.get(one.pk),
        }
        for one in templates
    ]


def _newest(templates: list[ContainerTemplate]) -> dict[UUID, dict[str, Any]]:
    keys = [one.newest_id for one in templates]  # type: ignore[attr-defined]  # annotated
    columns = ("pk", "template_id", "status", "created_at", "completed_at")
    jobs = ContainerJob.objects.filter(pk__in=[key for key in keys if key]).values(*columns)
    return {job["template_id"]: job for job in jobs}

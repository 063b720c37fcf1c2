"""One template: what its jobs are given, how they went, and which hosts can run them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from operator import itemgetter
from typing import Any
from uuid import UUID

from django.db.models import Case, Q, When
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.translation import gettext as _

from admin_ui import limits
from admin_ui.commands import argv
from admin_ui.pages import base, template_stats
from admin_ui.pages.dashboard import finished_chart
from admin_ui.pages.overview.board import HOSTS, JOBS, TEMPLATES
from hosts import masking
from hosts.executors import option_reader
from hosts.masking import mask_field
from jobs import explain, freezing, spec, trends
from jobs.models import ContainerJob, ContainerTemplate, EnvironmentVariable

_RECENT = 10


@base.needs(TEMPLATES)
def page(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """The page."""
    template = _get(pk)
    context = {**_settings(template), **_live(request, template)}
    return base.render(request, "admin_ui/template.html", context, title=template.name, section="templates")


@base.needs(TEMPLATES)
def live(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Its live part: figures, hosts, recent jobs."""
    return base.part(request, "admin_ui/_template.html", _live(request, _get(pk)))


@base.needs(TEMPLATES, JOBS)
def chart(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The chart of what ended of it in a week."""
    name, now = _get(pk).name, timezone.now()
    own = {key: total for key, total in trends.WEEK.read(now).items() if key[1] == name}
    return JsonResponse(finished_chart(trends.WEEK, own, now, _("7 days")))


def _get(pk: UUID) -> ContainerTemplate:
    found = ContainerTemplate.objects.prefetch_related("network_assignments")
    return get_object_or_404(found, pk=pk)


def _live(request: HttpRequest, template: ContainerTemplate) -> dict[str, Any]:
    may_jobs, may_hosts = request.user.has_perm(JOBS), request.user.has_perm(HOSTS)
    own = {key: total for key, total in trends.WEEK.read().items() if key[1] == template.name}
    return {
        "template": template,
        "may_jobs": may_jobs,
        "may_hosts": may_hosts,
        "may_run": request.user.has_perm("jobs.add_containerjob"),
        "may_change": request.user.has_perm("jobs.change_containertemplate"),
        "stats": template_stats.of(own, trends.WEEK.starts_now()) if may_jobs else None,
        "places": explain.places(template) if may_hosts else None,
        "recent": _recent(template) if may_jobs else [],
    }


def _recent(template: ContainerTemplate) -> list[dict[str, Any]]:
    columns = ("pk", "name", "status", "exit_code", "created_at", "started_at", "completed_at")
    jobs = ContainerJob.objects.filter(template=template).order_by("-created_at", "-id")
    return list(jobs.values(*columns, "failure_message", "pending_reason")[:_RECENT])


# ── what its jobs are given ───────────────────────────────────────────────────────────────────────────────


def _settings(template: ContainerTemplate) -> dict[str, Any]:
    frozen = spec.freeze(ContainerJob(template=template), template, [], [])
    return {
        "argv": argv(template),
        "limits": [line for line in limits.lines({name: frozen[name] for name in spec.LIMITS}) if line[1]],
        "options": list(_options(template)),
        "placement": list(_placement(template)),
        "variables": _variables(template),
        "networks": list(template.network_assignments.all()),
    }


def _options(template: ContainerTemplate) -> Iterator[tuple[str, str]]:
    """What else is set, as name and text."""
    if template.working_directory:
        yield _("Working directory"), template.working_directory
    for name in option_reader.FIELDS:
        value = getattr(template, name)
        if value and name != "entrypoint":
            yield (
                name.replace("_", " ").capitalize(),
                value if isinstance(value, str) else json.dumps(masking.mask(value)),
            )


def _placement(template: ContainerTemplate) -> Iterator[tuple[str, str]]:
    if template.required_executor:
        yield _("Executor"), template.required_executor
    if template.required_labels:
        yield _("Needs labels"), json.dumps(template.required_labels)
    if template.preferred_labels:
        yield _("Prefers labels"), json.dumps(template.preferred_labels)
    if template.max_concurrent:
        yield _("At most at once"), str(template.max_concurrent)
    if template.limit_key:
        yield _("Concurrency limit"), template.limit_key


def _variables(template: ContainerTemplate) -> list[dict[str, Any]]:
    """A secret's value never comes out, nor is it read; only whether there is one, who gave it, and when."""
    hidden = Q(is_secret=True) | Q(reference__gt="")
    rows = template.environment_variables.annotate(is_set=Case(When(value="", then=False), default=True))
    found = {one.pk: _shown(one) for one in rows.filter(hidden).defer("value")}
    readable, unread = freezing.readable(rows.exclude(hidden), "value")
    found |= {one.pk: {**_shown(one), "value": str(mask_field(one.key, one.value))} for one in readable}
    found |= {one.pk: {**_shown(one), "is_set": True, "trouble": why} for one, why in unread}
    return sorted(found.values(), key=itemgetter("key"))


def _shown(one: EnvironmentVariable) -> dict[str, Any]:
    is_set = getattr(one, "is_set", False)
    return {
        "key": one.key,
        "is_secret": one.is_hidden,
        "reference": one.reference,
        "is_file": one.as_file,
        "is_set": bool(one.reference) or is_set,
        "set_by": one.set_by,
        "set_at": one.set_at,
    }

"""Which page answers where, below the admin's own address."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseRedirect
from django.urls import URLPattern, path, reverse

from admin_ui.pages import dashboard, supervisor, supervisor_acts, template, template_acts, templates
from admin_ui.pages.alerts import alerts
from admin_ui.pages.job import new as job_new
from admin_ui.pages.job import page as job
from admin_ui.pages.job import resources


def patterns(guarded: Callable[..., object]) -> list[URLPattern]:
    """The addresses; each view looks after its own permissions (`pages.base.needs`)."""
    return [
        path("parts/alerts/", alerts, name="part_alerts"),
        path("parts/dashboard/", dashboard.board, name="part_dashboard"),
        *_OVERVIEW,
        *_JOB,
        *_STUBS,
    ]


_OVERVIEW = [
    path("charts/finished/", dashboard.finished, name="chart_finished"),
    path("supervisor/", supervisor.page, name="supervisor"),
    path("parts/supervisor/", supervisor.tree, name="part_supervisor"),
    path("supervisor/act/<slug:verb>/", supervisor_acts.act, name="supervisor_act"),
    path("templates/", templates.page, name="templates"),
    path("parts/templates/", templates.rows, name="part_templates"),
    path("templates/<uuid:pk>/", template.page, name="template"),
    path("parts/templates/<uuid:pk>/", template.live, name="part_template"),
    path("charts/templates/<uuid:pk>/", template.chart, name="chart_template"),
    path("templates/<uuid:pk>/<slug:verb>/", template_acts.act, name="template_act"),
]

_JOB = [
    path("jobs/new/", job_new.page, name="job_new"),
    path("jobs/new/preview/", job_new.part_preview, name="part_job_preview"),
    path("jobs/<uuid:job_id>/", job.page, name="job"),
    path("jobs/<uuid:job_id>/parts/head/", job.part_head, name="part_job_head"),
    path("jobs/<uuid:job_id>/parts/<slug:key>/", job.part_tab, name="part_job_tab"),
    path("jobs/<uuid:job_id>/charts/<slug:key>/", resources.chart, name="job_chart"),
]


def _stub(name: str) -> Callable[..., HttpResponseRedirect]:
    def view(_request: HttpRequest, **kwargs: object) -> HttpResponseRedirect:
        return HttpResponseRedirect(reverse(name, args=list(kwargs.values())))

    return view


_STUBS = [
    path("jobs/", _stub("admin:jobs_containerjob_changelist"), name="jobs"),  # stub: part JOBS
    path(
        "jobs/act/<slug:verb>/", lambda _request, verb: HttpResponseRedirect("../.."), name="job_act"
    ),  # stub: part JOBS
    path("jobs/<uuid:job_id>/log/", _stub("admin:jobs_containerjob_log"), name="job_log"),  # stub: part LOGS
    path("hosts/<uuid:host_id>/", _stub("admin:hosts_dockerhost_change"), name="host"),  # stub: part HOSTS
    path("hosts/", _stub("admin:hosts_dockerhost_changelist"), name="hosts"),  # stub: part HOSTS
    path("hosts/new/", _stub("admin:hosts_dockerhost_add"), name="host_new"),  # stub: part HOSTS
]

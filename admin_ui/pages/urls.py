"""Which page answers where, below the admin's own address."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseRedirect
from django.urls import URLPattern, path, re_path, reverse

from admin_ui.pages import dashboard, log
from admin_ui.pages.alerts import alerts
from admin_ui.pages.job import new as job_new
from admin_ui.pages.job import page as job
from admin_ui.pages.job import resources
from admin_ui.pages.jobs import acting, export, saved
from admin_ui.pages.jobs import views as job_list


def patterns(guarded: Callable[..., object]) -> list[URLPattern]:
    """The addresses; each view looks after its own permissions (`pages.base.needs`)."""
    return [
        path("parts/alerts/", alerts, name="part_alerts"),
        path("parts/dashboard/", dashboard.board, name="part_dashboard"),
        *_JOB,
        *_JOBS,
        *_LOG,
        *_STUBS,
    ]


_JOB = [
    path("jobs/new/", job_new.page, name="job_new"),
    path("jobs/new/preview/", job_new.part_preview, name="part_job_preview"),
    path("jobs/<uuid:job_id>/", job.page, name="job"),
    path("jobs/<uuid:job_id>/parts/head/", job.part_head, name="part_job_head"),
    path("jobs/<uuid:job_id>/parts/<slug:key>/", job.part_tab, name="part_job_tab"),
    path("jobs/<uuid:job_id>/charts/<slug:key>/", resources.chart, name="job_chart"),
]


_JOBS = [
    path("jobs/", job_list.jobs, name="jobs"),
    path("parts/jobs/", job_list.part, name="part_jobs"),
    path("jobs/act/<slug:verb>/", acting.act, name="job_act"),
    re_path(r"^jobs/export\.(?P<kind>csv|json)$", export.export, name="jobs_export"),
    path("jobs/views/new/", saved.save, name="jobs_view_new"),
    path("jobs/views/<uuid:view_id>/", saved.change, name="jobs_view"),
    path("jobs/views/<uuid:view_id>/delete/", saved.delete, name="jobs_view_delete"),
]


_LOG = [
    path("jobs/<uuid:job_id>/log/", log.page, name="job_log"),
    path("jobs/<uuid:job_id>/log/head/", log.head, name="part_log_head"),
    path("jobs/<uuid:job_id>/log/lines/", log.lines, name="job_log_lines"),
    path("jobs/<uuid:job_id>/log/search/", log.find, name="job_log_search"),
    path("jobs/<uuid:job_id>/log/download/", log.download, name="job_log_download"),
]


def _stub(name: str) -> Callable[..., HttpResponseRedirect]:
    def view(_request: HttpRequest, **kwargs: object) -> HttpResponseRedirect:
        return HttpResponseRedirect(reverse(name, args=list(kwargs.values())))

    return view


_STUBS = [
    path("hosts/<uuid:host_id>/", _stub("admin:hosts_dockerhost_change"), name="host"),  # stub: part HOSTS
    path(
        "templates/<uuid:pk>/", _stub("admin:jobs_containertemplate_change"), name="template"
    ),  # stub: OVERVIEW
]

"""Which page answers where, below the admin's own address."""

from __future__ import annotations

from django.urls import URLPattern, path, re_path

from admin_ui import second_factor
from admin_ui.pages import dashboard, log, supervisor, supervisor_acts, template, template_acts, templates
from admin_ui.pages.alerts import alerts
from admin_ui.pages.audit import views as audit
from admin_ui.pages.hosts import acts as host_acts
from admin_ui.pages.hosts import charts as host_charts
from admin_ui.pages.hosts import detail as host_detail
from admin_ui.pages.hosts import listing as host_listing
from admin_ui.pages.hosts import orphans as host_orphans
from admin_ui.pages.hosts import testing as host_testing
from admin_ui.pages.hosts import wizard as host_wizard
from admin_ui.pages.job import new as job_new
from admin_ui.pages.job import page as job
from admin_ui.pages.job import resources
from admin_ui.pages.jobs import acting, export, saved
from admin_ui.pages.jobs import views as job_list


def patterns() -> list[URLPattern]:
    """The addresses; each view looks after its own permissions (`pages.base.needs`)."""
    return [
        path("parts/alerts/", alerts, name="part_alerts"),
        path("parts/dashboard/", dashboard.board, name="part_dashboard"),
        *_OVERVIEW,
        *_JOB,
        *_JOBS,
        *_LOG,
        *_HOSTS,
        *_AUDIT,
        *_two_factor(),
    ]


def _two_factor() -> list[URLPattern]:
    if not second_factor.is_on():
        return []
    from admin_ui.pages import two_factor  # its library may not be installed

    return [path("two-factor/", two_factor.page, name="two_factor")]


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


_HOSTS = [
    path("hosts/", host_listing.hosts, name="hosts"),
    path("hosts/new/", host_wizard.new, name="host_new"),
    path("hosts/act/<slug:verb>/", host_acts.act, name="host_act"),
    path("hosts/<uuid:host_id>/", host_detail.host, name="host"),
    path("hosts/<uuid:host_id>/settings/", host_wizard.edit, name="host_edit"),
    path("hosts/<uuid:host_id>/test/", host_testing.test, name="host_test"),
    path("hosts/<uuid:host_id>/orphans/", host_orphans.remove, name="host_orphans"),
    path("hosts/<uuid:host_id>/weight/", host_listing.weight, name="host_weight"),
    path("hosts/<uuid:host_id>/chart/<slug:name>/", host_charts.chart, name="host_chart"),
    path("parts/hosts/", host_listing.table, name="part_hosts"),
    path("parts/hosts/<uuid:host_id>/head/", host_detail.head, name="part_host_head"),
    path("parts/hosts/<uuid:host_id>/body/", host_detail.body, name="part_host_body"),
    path("parts/hosts/<uuid:host_id>/test/", host_testing.steps, name="part_host_test"),
]


_AUDIT = [
    path("audit/", audit.page, name="audit"),
    re_path(r"^audit/export\.(?P<kind>csv|json)$", audit.export, name="audit_export"),
]

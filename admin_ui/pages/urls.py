"""Which page answers where, below the admin's own address."""

from __future__ import annotations

from collections.abc import Callable

from django.urls import URLPattern, path
from django.views.generic import RedirectView

from admin_ui.pages import dashboard, supervisor, supervisor_acts, template, template_acts, templates
from admin_ui.pages.alerts import alerts


def patterns(guarded: Callable[..., object]) -> list[URLPattern]:
    """The addresses; each view looks after its own permissions (`pages.base.needs`)."""
    return [
        path("parts/alerts/", alerts, name="part_alerts"),
        path("parts/dashboard/", dashboard.board, name="part_dashboard"),
        # The overview: dashboard, supervisor, templates.
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
        *_stubs(),
    ]


def _stubs() -> list[URLPattern]:
    """Pages that are still to come."""
    home = RedirectView.as_view(url="/admin/")
    return [
        path("jobs/", home, name="jobs"),  # stub: part JOBS
        path("jobs/new/", home, name="job_new"),  # stub: part JOB
        path("jobs/<uuid:pk>/", home, name="job"),  # stub: part JOB
        path("jobs/<uuid:pk>/log/", home, name="job_log"),  # stub: part LOGS
        path("hosts/", home, name="hosts"),  # stub: part HOSTS
        path("hosts/new/", home, name="host_new"),  # stub: part HOSTS
        path("hosts/<uuid:pk>/", home, name="host"),  # stub: part HOSTS
    ]

"""Which page answers where, below the admin's own address."""

from __future__ import annotations

from collections.abc import Callable

from django.urls import URLPattern, path

from admin_ui.pages import dashboard, log
from admin_ui.pages.alerts import alerts


def patterns(guarded: Callable[..., object]) -> list[URLPattern]:
    """The addresses; each view looks after its own permissions (`pages.base.needs`)."""
    return [
        path("parts/alerts/", alerts, name="part_alerts"),
        path("parts/dashboard/", dashboard.board, name="part_dashboard"),
        path("jobs/<uuid:job_id>/log/", log.page, name="job_log"),
        path("jobs/<uuid:job_id>/log/head/", log.head, name="part_log_head"),
        path("jobs/<uuid:job_id>/log/lines/", log.lines, name="job_log_lines"),
        path("jobs/<uuid:job_id>/log/search/", log.find, name="job_log_search"),
        path("jobs/<uuid:job_id>/log/download/", log.download, name="job_log_download"),
    ]

"""Every model in Django's admin. Pages call operations and own no rule; history is read-only."""

from django.apps import apps
from django.contrib import admin

from admin_ui.admin import audit, history, hosts, jobs, limits, processes, templates

__all__ = ["audit", "history", "hosts", "jobs", "limits", "processes", "templates"]

admin.site.site_header = admin.site.site_title = "Tallyman"

if apps.is_installed("django_otp"):
    from admin_ui.admin import second_factor as _second_factor  # noqa: F401

from __future__ import annotations

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps


class AdminUiConfig(AppConfig):
    name = "admin_ui"
    verbose_name = "Tallyman"
    default = True


class TallymanAdminConfig(admin_apps.AdminConfig):
    """Django's admin, with our site as the one that everything registers at."""

    default = False
    default_site = "admin_ui.site.TallymanSite"

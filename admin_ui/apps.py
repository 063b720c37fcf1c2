from __future__ import annotations

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps


class AdminUiConfig(AppConfig):
    name = "admin_ui"
    verbose_name = "Tallyman"
    default = True

    def ready(self) -> None:
        from django.contrib.auth.signals import user_logged_in

        from admin_ui import standing

        user_logged_in.connect(standing.begin, dispatch_uid="admin_ui.standing")


class TallymanAdminConfig(admin_apps.AdminConfig):
    """Django's admin, with our site as the one that everything registers at."""

    default = False
    default_site = "admin_ui.site.TallymanSite"

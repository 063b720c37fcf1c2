"""The admin site: our own pages first, Django's tables for editing behind them."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext_lazy as _


class TallymanSite(admin.AdminSite):
    """One login, one set of permissions: `index` is the dashboard, and Django's list is `tables`."""

    site_header = "Tallyman"
    site_title = "Tallyman"
    index_title = _("All tables")
    index_template = "admin_ui/tables.html"
    enable_nav_sidebar = False
    site_url = None

    def get_urls(self) -> list[URLPattern | URLResolver]:
        from admin_ui.pages import urls

        tables = path("tables/", self.admin_view(super().index), name="tables")
        return [tables, *urls.patterns(), *super().get_urls()]

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """The dashboard."""
        from admin_ui.pages.dashboard import dashboard

        return cast(TemplateResponse, dashboard(request))

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        from admin_ui.pages import alerts, navigation

        return {
            **super().each_context(request),
            "navigation": navigation.for_user(request.user),
            # Read only by a page that shows them: the login has the same context.
            "alerts": SimpleLazyObject(lambda: alerts.current(request.user)),
        }

"""The admin site: our own pages first, Django's tables for editing behind them."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils.functional import SimpleLazyObject
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _

from admin_ui import second_factor, standing


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

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The form for name and password; for who has given those, the question for the second factor."""
        if request.method == "GET" and standing.half_logged_in(request):
            wanted = urlencode({REDIRECT_FIELD_NAME: request.GET.get(REDIRECT_FIELD_NAME, "")})
            return HttpResponseRedirect(f"{reverse('admin:two_factor')}?{wanted}")
        return super().login(request, extra_context)

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
            "has_second_factors": second_factor.is_on(),
        }

"""The first page: whether all is well, and where to look if not."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext_lazy as _

from admin_ui.pages import alerts, base


@base.needs()
def dashboard(request: HttpRequest) -> HttpResponseBase:
    """The page."""
    context = {"alerts": alerts.current(request.user), **_board(request)}
    return base.render(request, "admin_ui/dashboard.html", context, title=_("Dashboard"), section="dashboard")


@base.needs()
def board(request: HttpRequest) -> HttpResponse:
    """Its live part."""
    return base.part(request, "admin_ui/_dashboard.html", _board(request))


def _board(request: HttpRequest) -> dict[str, Any]:
    return {"tiles": []}

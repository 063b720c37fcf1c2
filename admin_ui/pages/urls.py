"""Which page answers where, below the admin's own address."""

from __future__ import annotations

from collections.abc import Callable

from django.urls import URLPattern, path

from admin_ui.pages import dashboard
from admin_ui.pages.alerts import alerts


def patterns(guarded: Callable[..., object]) -> list[URLPattern]:
    """The addresses; each view looks after its own permissions (`pages.base.needs`)."""
    return [
        path("parts/alerts/", alerts, name="part_alerts"),
        path("parts/dashboard/", dashboard.board, name="part_dashboard"),
    ]

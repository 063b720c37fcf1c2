"""Which page answers where, below the admin's own address."""

from __future__ import annotations

from collections.abc import Callable

from django.urls import URLPattern, path

from admin_ui.pages import dashboard
from admin_ui.pages.alerts import alerts
from admin_ui.pages.hosts import acts as host_acts
from admin_ui.pages.hosts import charts as host_charts
from admin_ui.pages.hosts import detail as host_detail
from admin_ui.pages.hosts import listing as host_listing
from admin_ui.pages.hosts import testing as host_testing
from admin_ui.pages.hosts import wizard as host_wizard


def patterns(guarded: Callable[..., object]) -> list[URLPattern]:
    """The addresses; each view looks after its own permissions (`pages.base.needs`)."""
    return [
        path("parts/alerts/", alerts, name="part_alerts"),
        path("parts/dashboard/", dashboard.board, name="part_dashboard"),
        *_of_hosts(),
    ]


def _of_hosts() -> list[URLPattern]:
    return [
        path("hosts/", host_listing.hosts, name="hosts"),
        path("hosts/new/", host_wizard.new, name="host_new"),
        path("hosts/act/<slug:verb>/", host_acts.act, name="host_act"),
        path("hosts/<uuid:host_id>/", host_detail.host, name="host"),
        path("hosts/<uuid:host_id>/settings/", host_wizard.edit, name="host_edit"),
        path("hosts/<uuid:host_id>/test/", host_testing.test, name="host_test"),
        path("hosts/<uuid:host_id>/weight/", host_listing.weight, name="host_weight"),
        path("hosts/<uuid:host_id>/chart/<slug:name>/", host_charts.chart, name="host_chart"),
        path("parts/hosts/", host_listing.table, name="part_hosts"),
        path("parts/hosts/<uuid:host_id>/head/", host_detail.head, name="part_host_head"),
        path("parts/hosts/<uuid:host_id>/body/", host_detail.body, name="part_host_body"),
        path("parts/hosts/<uuid:host_id>/test/", host_testing.steps, name="part_host_test"),
    ]

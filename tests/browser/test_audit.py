"""The audit in a browser: it can be read in light and dark, on a phone, and by who sees nothing."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import expect

from audit.models import AuditEvent
from hosts import operations
from hosts.operations import HostRefused
from jobs import operations as job_operations
from tests.audit.rows import leave
from tests.browser.conftest import OpenScreen
from tests.browser.screens import DESKTOP, PHONE
from tests.support.factories import make_host, make_job

pytestmark = [pytest.mark.browser, pytest.mark.process, pytest.mark.django_db(transaction=True)]


def test_it_is_filtered_opened_and_read_by_everybody(screen: OpenScreen, admin: User) -> None:
    host = make_host("a-host-with-a-name-that-is-rather-long-for-a-phone.example.com")
    operations.drain(host.pk, deadline_seconds=60)
    with pytest.raises(HostRefused):
        operations.set_weight(host.pk, 0)
    job_operations.cancel(make_job(name="nightly").pk, who="ann")
    leave(60)
    page = screen().open("/admin/audit/")
    expect(page.locator(".audit-row")).to_have_count(50)
    page.get_by_role("link", name="Older").click()
    page.get_by_label("Verb").fill("host.drain")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator(".audit-row")).to_have_count(1)
    assert "verb=host.drain" in page.url
    page.locator(".audit-row summary").click()
    expect(page.locator(".audit-details")).to_contain_text("draining")
    page.get_by_role("link", name="all that was done to it").click()
    expect(page.locator(".audit-row")).to_have_count(AuditEvent.objects.filter(object_kind="host").count())
    for scheme in ("light", "dark"):
        for size in (DESKTOP, PHONE):
            shown = screen(size=size, color_scheme=scheme)
            page = shown.open(f"/admin/audit/?object={host.pk}")
            page.locator("summary").last.click()
            assert shown.findings() == []
            assert not shown.overflows()

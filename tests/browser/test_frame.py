"""The frame that every page has: menu, theme, keyboard, alerts, live parts that rest and go stale."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenScreen
from tests.browser.screens import DESKTOP, PHONE
from tests.support.web import Web

pytestmark = [pytest.mark.browser, pytest.mark.process, pytest.mark.django_db(transaction=True)]

PAGES = (
    "/admin/",
    "/admin/jobs/?longer=5m",
    "/admin/jobs/new/",
    "/admin/supervisor/",
    "/admin/templates/",
    "/admin/hosts/",
    "/admin/hosts/new/?kind=docker",
)


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_accessible_in_light_and_dark_on_desktop_and_phone(
    screen: OpenScreen, path: str
) -> None:
    for size in (DESKTOP, PHONE):
        for scheme in ("light", "dark"):
            one = screen(size=size, color_scheme=scheme)
            one.open(path)
            assert one.findings() == [], (scheme, size)
            assert not one.overflows(), size


def test_a_missing_supervisor_is_said_on_every_page_with_what_to_do(screen: OpenScreen) -> None:
    page = screen().open("/admin/")
    expect(page.locator("#alerts")).to_contain_text("No supervisor is running")
    expect(page.locator("#alerts")).to_contain_text("manage.py supervise")


def test_keys_go_to_pages_and_help(screen: OpenScreen) -> None:
    page = screen().open("/admin/")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Keyboard")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.keyboard.press("g")
    page.keyboard.press("h")
    page.wait_for_url("**/admin/hosts/**")


def test_the_theme_is_kept(screen: OpenScreen) -> None:
    page = screen(color_scheme="light").open("/admin/")
    page.locator("#theme").click()
    page.locator("#theme").click()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")


def test_a_page_without_its_server_says_since_when_it_is_stale(screen: OpenScreen, web: Web) -> None:
    one = screen()
    page = one.open("/admin/")
    expect(page.locator("#freshness")).to_contain_text("Updated")
    web.stop()
    expect(page.locator("#freshness")).to_contain_text("Stale", timeout=20_000)
    one.complaints.clear()  # of connections that were refused

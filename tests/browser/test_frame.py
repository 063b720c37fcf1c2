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
    "/admin/hosts/",
    "/admin/hosts/new/?kind=docker",
    "/admin/supervisor/",
    "/admin/templates/",
)


def test_every_page_is_accessible_in_light_and_dark_on_desktop_and_phone(screen: OpenScreen) -> None:
    for size, scheme in ((DESKTOP, "dark"), (PHONE, "light")):
        one = screen(size=size, color_scheme=scheme)
        for path in PAGES:
            one.open(path)
            assert one.findings() == [], (path, scheme, size)
            assert not one.overflows(), (path, size)


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


HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def test_a_page_that_nobody_looks_at_asks_for_nothing_until_it_is_looked_at_again(screen: OpenScreen) -> None:
    one = screen()
    one.page.clock.install()
    page = one.open("/admin/jobs/")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.evaluate(HIDE, True)
    page.clock.run_for(60_000)
    assert not [url for url in asked if "/parts/" in url]
    with page.expect_response("**/parts/jobs/**"):
        page.evaluate(HIDE, False)
    with page.expect_response("**/parts/jobs/**"):
        page.clock.run_for(4_000)


def test_whoever_wants_little_motion_sees_none(screen: OpenScreen) -> None:
    page = screen(reduced_motion="reduce").open("/admin/")
    moving = """() => [...document.querySelectorAll("*")].filter((element) => {
      const { animationName, transitionDuration, transitionProperty } = getComputedStyle(element);
      return animationName !== "none" || (transitionDuration !== "0s" && transitionProperty !== "none");
    }).length"""
    assert page.evaluate(moving) == 0


def test_a_page_without_its_server_says_since_when_it_is_stale_on_a_phone_too(
    screen: OpenScreen, web: Web
) -> None:
    one = screen(size=PHONE)
    page = one.open("/admin/")
    expect(page.locator("#freshness")).to_be_visible()
    expect(page.locator("#freshness")).to_contain_text("Updated")
    web.stop()
    expect(page.locator("#freshness")).to_contain_text("Stale", timeout=20_000)
    assert not one.overflows()
    one.complaints.clear()  # of connections that were refused

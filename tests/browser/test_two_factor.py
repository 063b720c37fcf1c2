"""Logging in with a second factor, in a browser: set up, given, and lost."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import User
from django_otp.oath import TOTP
from django_otp.plugins.otp_totp.models import TOTPDevice

from tests.browser.conftest import OpenScreen
from tests.browser.screens import PHONE, Screen

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

SHOTS = os.environ.get("TALLYMAN_TEST_SHOTS", "")


def look(screen: Screen, name: str) -> None:
    """The page is as good in the dark; no wider than a phone; pictures for who wants to see them."""
    for scheme in ("light", "dark"):
        screen.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        assert screen.findings() == []
        assert not screen.overflows()
        if SHOTS:
            screen.page.screenshot(path=Path(SHOTS) / f"{name}-{scheme}.png", full_page=True)


def code() -> str:
    totp = TOTP(TOTPDevice.objects.get().bin_key)
    totp.time = time.time()
    return f"{totp.token():06d}"


def test_it_is_set_up_and_asked_for(screen: OpenScreen, admin: User):
    # As the web process makes them, which does not know the quick one of tests.
    admin.password = PBKDF2PasswordHasher().encode("a password", "salt", iterations=1000)
    admin.save()
    mine = screen(size=PHONE)
    page = mine.open("/admin/")
    page.get_by_role("button", name="Menu").click()
    page.get_by_role("button", name="admin").click()
    page.get_by_role("link", name="Second factor").click()
    assert page.locator(".qr-code svg").bounding_box()["width"] > 150
    look(mine, "set-up")
    page.locator("#id_code").fill(code())
    page.get_by_role("button", name="Set it up").click()
    page.get_by_text("recovery codes are shown only now").wait_for()
    codes = page.locator(".recovery-codes li").all_inner_texts()
    assert len(codes) == 10
    look(mine, "codes")

    page.get_by_role("button", name="Log out").click()
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill("a password")
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/admin/two-factor/**")
    look(mine, "ask")
    page.locator("#id_code").fill(codes[0])
    page.get_by_role("button", name="Go on").click()
    page.wait_for_url("**/admin/")
    page.goto(f"{mine.base}/admin/two-factor/")
    page.get_by_text("9 recovery codes are left").wait_for()
    look(mine, "change")

"""One browser for all tests here, and what it must never see."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.contrib.sessions.backends.db import SessionStore
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.support.requirements import missing

CHROMIUM = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
AXE = Path(__file__).parent / "vendor" / "axe.min.js"
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 360, "height": 740}
SERIOUS = ("serious", "critical")


@contextmanager
def browser() -> Iterator[Browser]:
    """Debian's Chromium, without windows."""
    found = next((path for path in CHROMIUM if Path(path).exists()), None)
    if found is None:
        missing("chromium", "it is not installed (Debian: chromium)")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])


class Screen:
    """A tab of somebody who is logged in; `complaints` is all that its console had to say."""

    def __init__(self, context: BrowserContext, base: str) -> None:
        self.base, self.complaints = base, list[str]()
        self.page: Page = context.new_page()
        self.page.set_default_timeout(10_000)
        self.page.on("console", lambda message: self._hear(message.type, message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))
        self.page.on("request", lambda request: self._look(request.url))

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(f"{kind}: {text}")

    def _look(self, url: str) -> None:
        if not url.startswith((self.base, self.base.replace("http", "ws", 1), "data:", "blob:")):
            self.complaints.append(f"another host: {url}")

    def open(self, path: str) -> Page:
        """Go to a page of the site."""
        self.page.goto(self.base + path)
        return self.page

    def findings(self) -> list[str]:
        """What axe-core has against the page as it is now: rules that are serious, and where."""
        if not self.page.evaluate("() => 'axe' in window"):
            self.page.evaluate(AXE.read_text())
        # Without preload: it would copy imported style sheets into the page, which the policy refuses.
        options = "{resultTypes: ['violations'], preload: false}"
        result = self.page.evaluate(f"() => axe.run(document, {options})")
        return [_finding(one) for one in result["violations"] if one["impact"] in SERIOUS]

    def overflows(self) -> bool:
        """Whether the page is wider than the window."""
        return bool(
            self.page.evaluate(
                "() => document.documentElement.scrollWidth > document.documentElement.clientWidth"
            )
        )


def _finding(violation: dict[str, Any]) -> str:
    places = [node["target"] for node in violation["nodes"]]
    return f"{violation['id']} ({violation['impact']}): {violation['help']} at {json.dumps(places[:5])}"


def session_for(user: AbstractBaseUser) -> str:
    """The cookie of a login: its form has a test of its own."""
    session = SessionStore()
    session["_auth_user_id"] = str(user.pk)
    session["_auth_user_backend"] = settings.AUTHENTICATION_BACKENDS[-1]
    session["_auth_user_hash"] = user.get_session_auth_hash()
    session.save()
    return str(session.session_key)

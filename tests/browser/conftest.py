"""The real site in a real browser: gunicorn, the test's database, and whoever logs in."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser

from tests.browser import screens
from tests.browser.screens import DESKTOP, Screen
from tests.support.web import Web, running_web

# Playwright runs a loop in this thread, which Django takes for one that it may block.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"

HERE = Path(__file__).parent
OpenScreen = Callable[..., Screen]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What a browser shows does not depend on the database; what pages ask of it has other tests."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("sqlite_only")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with screens.browser() as browser:
        yield browser


@pytest.fixture
def web(database_url: str) -> Iterator[Web]:
    """The web process, on the test's database."""
    with running_web(database_url) as web:
        yield web


@pytest.fixture
def admin(transactional_db: None) -> User:
    """Somebody who may do everything."""
    return User.objects.create_superuser("admin", password="a password")


@pytest.fixture
def screen(browser: Browser, web: Web, admin: User) -> Iterator[OpenScreen]:
    """Opens tabs; whatever one of them had to complain of fails the test in the end.

    `screen()` is the administrator at a desktop; `user`, `size`, `site` (another web process than the
    test's) and options of Playwright change that.
    """
    opened: list[Screen] = []
    contexts = []

    def open_screen(
        user: User | None = None,
        *,
        size: dict[str, int] = DESKTOP,
        site: Web | None = None,
        **options: object,
    ) -> Screen:
        base = f"http://127.0.0.1:{(site or web).port}"
        context = browser.new_context(viewport=size, **options)
        contexts.append(context)
        cookie = {"name": "sessionid", "value": screens.session_for(user or admin), "url": base}
        context.add_cookies([cookie])
        opened.append(Screen(context, base))
        return opened[-1]

    yield open_screen
    complaints = [complaint for one in opened for complaint in one.complaints]
    for context in contexts:
        context.close()
    assert not complaints, "\n".join(complaints)

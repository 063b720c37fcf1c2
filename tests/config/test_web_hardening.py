"""What every answer says to browsers, what a change needs, and what production refuses to start with."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.test import Client
from django.urls import NoReverseMatch, URLPattern, URLResolver, reverse

from config.asgi import application
from config.environment import Environment
from hosts.ids import new_id
from tests.support.loops import in_a_loop
from tests.support.sockets import Socket

ROOT = Path(__file__).parents[2]


@pytest.fixture
def strict(settings) -> Client:
    """The browser of somebody who may do everything, at a site that is served over HTTPS."""
    settings.SECURE_HSTS_SECONDS, settings.SECURE_SSL_REDIRECT = 3600, True
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("ann", password="x"))
    return client


PAGES = (
    "/admin/login/",
    "/admin/",
    "/admin/jobs/",
    "/admin/jobs/export.csv",
    "/admin/no-such-page/",
    "/health/",
)


@pytest.mark.django_db
@pytest.mark.parametrize("path", PAGES)
def test_every_answer_tells_browsers_to_be_strict(strict, path):
    answer = strict.get(path, secure=True)

    policy = answer["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    for word in ("unsafe-inline", "unsafe-eval", "*", "http:", "https:"):
        assert word not in policy
    for directive in ("frame-ancestors 'none'", "object-src 'none'", "base-uri 'self'", "form-action 'self'"):
        assert directive in policy
    assert answer["Strict-Transport-Security"].startswith("max-age=3600")
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "camera=()" in answer["Permissions-Policy"]
    assert "no-store" in answer["Cache-Control"]
    assert "private" in answer["Cache-Control"]


@pytest.mark.django_db
def test_plain_http_is_sent_to_https_and_cookies_stay_there(strict, settings):
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = True
    assert strict.get("/admin/login/")["Location"].startswith("https://")
    Client().get("/admin/login/", secure=True)
    form = {"username": "ann", "password": "x"}
    client = Client()

    cookies = client.post("/admin/login/", form, secure=True).cookies

    for name in ("sessionid", "csrftoken"):
        assert (cookies[name]["secure"], cookies[name]["httponly"]) == (True, True)
        assert cookies[name]["samesite"] == "Lax"
    assert cookies["sessionid"]["max-age"] == 86_400


def _addresses() -> list[str]:
    """Each address of the admin, with something in the place of each key."""
    found = []
    for pattern in admin.site.urls[0]:
        stack: list[URLPattern | URLResolver] = [pattern]
        while stack:
            one = stack.pop()
            if isinstance(one, URLResolver):
                stack.extend(one.url_patterns)
            elif one.name:
                found.append(one.name)
    addresses = set()
    for name in found:
        for arguments in _KEYS:
            try:
                addresses.add(reverse(f"admin:{name}", args=arguments))
            except NoReverseMatch:
                continue
    return sorted(addresses)


_KEYS = (
    (),
    (str(new_id()),),
    ("cancel",),
    (str(new_id()), "cpu"),
    ("csv",),
    ("auth",),
    (str(new_id()), "run"),
)


@pytest.mark.django_db
def test_nothing_is_changed_without_the_token_of_a_page(strict):
    addresses = _addresses()
    assert len(addresses) > 80

    for address in addresses:
        answer = strict.post(address, secure=True)
        assert answer.status_code == 403, (address, answer.status_code)
    for method in ("put", "patch", "delete"):
        assert getattr(strict, method)("/admin/jobs/", secure=True).status_code == 403


@pytest.mark.parametrize(
    ("origin", "let_in"),
    [
        ("http://localhost", True),
        ("http://evil.example", False),
        ("http://localhost.evil.example", False),
        ("null", False),
        ("", False),
        (None, False),
    ],
)
def test_a_socket_is_opened_from_pages_of_ours_only(settings, origin, let_in):
    settings.DEBUG = True
    headers = [(b"host", b"localhost")]
    if origin is not None:
        headers.append((b"origin", origin.encode()))

    async def connect() -> bool:
        socket = Socket(application, f"/ws/jobs/{new_id()}/log/", headers)
        return await socket.connect()

    assert in_a_loop(connect) is let_in


def production(*arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
    """A command as in production."""
    environment = {
        "PATH": os.environ["PATH"],
        "TALLYMAN_ENV_FILE": "",
        "ALLOWED_HOSTS": "tallyman.example",
        "DATABASE_URL": "sqlite://:memory:",
        "SECRET_KEY": secrets.token_urlsafe(50),
        "TALLYMAN_SECRET_KEYS": Fernet.generate_key().decode(),
        **changed,
    }
    return subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60
    )


@pytest.mark.sqlite_only
def test_a_production_deployment_has_no_finding():
    check = ("manage.py", "check", "--deploy", "--fail-level", "WARNING")

    done = production(*check, TALLYMAN_TWO_FACTOR="required")  # `make check` asks without

    assert (done.returncode, done.stderr) == (0, "")
    assert "no issues (2 silenced)" in done.stdout, "those that settings.py explains"


@pytest.mark.parametrize("key", ["", "short", "a" * 60, "django-insecure-" + "abcdefghij" * 5])
def test_no_key_that_could_be_guessed_is_taken_in_production(monkeypatch, key):
    monkeypatch.setenv("SECRET_KEY", key)

    with pytest.raises(ImproperlyConfigured, match=r"^SECRET_KEY is ") as caught:
        Environment().signing_key("SECRET_KEY", is_production=True)

    assert not key or key not in str(caught.value)
    assert not key or Environment().signing_key("SECRET_KEY", is_production=False) == key


def test_nothing_starts_with_a_key_that_could_be_guessed():
    done = production("manage.py", "check", SECRET_KEY="short")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("manage.py: SECRET_KEY is too weak for production")
    done = production(
        "-m", "gunicorn", "config.asgi:application", "-c", "gunicorn.conf.py", SECRET_KEY="short"
    )

    assert done.returncode != 0
    assert "SECRET_KEY is too weak for production" in done.stderr

"""Logins that fail too often have to wait; others do not, wherever they come from."""

from __future__ import annotations

from datetime import timedelta

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.test import Client, RequestFactory
from django.utils import timezone

from admin_ui import throttle

pytestmark = pytest.mark.django_db

URL = "/admin/login/"


@pytest.fixture(autouse=True)
def _throttled(settings) -> None:
    settings.AXES_ENABLED = True
    User.objects.create_superuser("ann", password="right password")


def login(password: str, *, name: str = "ann", address: str = "10.0.0.1", agent: str = "a") -> int:
    form = {"username": name, "password": password}
    return Client(REMOTE_ADDR=address, HTTP_USER_AGENT=agent).post(URL, form).status_code


def test_after_five_failures_even_the_right_password_is_not_tried_for_a_while():
    assert [login("wrong", agent=f"agent {number}") for number in range(4)] == [200] * 4
    assert login("wrong") == 429

    refused = Client(REMOTE_ADDR="10.0.0.1").post(URL, {"username": "ann", "password": "right password"})

    assert refused.status_code == 429
    assert refused["Retry-After"] == "900"
    assert "Try again in 15 minutes" in refused.content.decode()
    assert "sessionid" not in refused.cookies
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(seconds=901))
    assert login("right password") == 302


def test_a_stranger_elsewhere_locks_nobody_out_and_a_neighbour_neither():
    for _ in range(6):
        login("wrong", address="10.6.6.6")
    User.objects.create_superuser("bob", password="right password")

    assert login("right password") == 302
    assert login("right password", name="bob", address="10.6.6.6") == 302


def test_a_success_forgets_the_failures():
    for _ in range(2):
        assert [login("wrong") for _ in range(4)] == [200] * 4
        assert login("right password") == 302


def test_names_that_do_not_exist_are_answered_alike():
    assert [login("wrong", name="nobody") for _ in range(5)] == [200] * 4 + [429]


def test_no_password_is_kept_of_an_attempt():
    login("a-mistyped-password")

    (attempt,) = AccessAttempt.objects.values()
    assert "a-mistyped-password" not in str(attempt)


def test_only_what_our_own_proxies_say_of_an_address_is_believed(settings):
    settings.TALLYMAN_TRUSTED_PROXY_COUNT = 1
    told = {"REMOTE_ADDR": "10.0.0.9", "HTTP_X_FORWARDED_FOR": "6.6.6.6, 192.0.2.1"}

    assert throttle.address_of(RequestFactory().get("/", **told)) == "192.0.2.1"

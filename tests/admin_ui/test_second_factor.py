"""The second factor: who is asked for it, what a code opens, and what the password alone never does."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django_otp import DEVICE_ID_SESSION_KEY
from django_otp.oath import TOTP
from django_otp.plugins.otp_static.models import StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from admin_ui import second_factor
from admin_ui.live_logs import consumer
from jobs.states import AttemptState
from tests.admin_ui.test_log_socket import opened, run
from tests.jobs.attempts import make_attempt

pytestmark = pytest.mark.django_db

URL = "/admin/two-factor/"
PAGE = "/admin/jobs/"


@pytest.fixture(autouse=True)
def _optional(settings) -> None:
    settings.TALLYMAN_TWO_FACTOR = "optional"


@pytest.fixture
def ann(db) -> User:
    return User.objects.create_superuser("ann", password="right password")


def code_of(user: User, *, steps: int = 0) -> str:
    """What the app shows now, or some steps of 30 s later."""
    device = TOTPDevice.objects.get(user=user)
    totp = TOTP(device.bin_key)
    totp.time = time.time() + 30 * steps
    return f"{totp.token():06d}"


def browser_of(user: User) -> Client:
    client = Client()
    form = {"username": user.get_username(), "password": "right password", "next": PAGE}
    assert client.post("/admin/login/", form).status_code == 302
    return client


def set_up(user: User) -> list[str]:
    """Set up an app as a person does; the recovery codes that were shown."""
    client = browser_of(user)
    client.get(URL)
    answer = client.post(URL, {"code": code_of(user)}).content.decode()
    TOTPDevice.objects.update(last_t=-1)  # its first code is not used up for the next login
    return re.findall(r"<li>([a-z2-7]{8})</li>", answer)


def test_who_has_none_is_not_asked(ann):
    assert browser_of(ann).get(PAGE).status_code == 200


def test_it_is_set_up_with_a_picture_a_key_and_a_first_code(ann):
    client = browser_of(ann)

    page = client.get(URL).content.decode()

    assert page.count("<svg") >= 1
    assert not re.search(r"<[^>]+\sstyle=", page), "the policy of the page allows no style in it"
    key = TOTPDevice.objects.get(user=ann, confirmed=False)
    assert client.get(URL).content.decode().count("<code") == 1
    assert "no code of yours" in client.post(URL, {"code": "000000"}).content.decode()
    TOTPDevice.objects.update(throttling_failure_timestamp=None, throttling_failure_count=0)
    answer = client.post(URL, {"code": code_of(ann)}).content.decode()
    key.refresh_from_db()
    assert key.confirmed
    codes = re.findall(r"<li>([a-z2-7]{8})</li>", answer)
    assert len(set(codes)) == 10
    assert client.get(PAGE).status_code == 200, "this login goes on"
    assert key.key not in client.get(URL).content.decode()


def test_the_password_alone_opens_nothing_any_more(ann):
    set_up(ann)
    client = browser_of(ann)

    assert client.get(PAGE)["Location"] == f"/admin/login/?next={PAGE}"
    asked = client.get(f"/admin/login/?next={PAGE}")
    assert asked["Location"] == f"{URL}?next=%2Fadmin%2Fjobs%2F"
    assert "checks" not in client.get("/health/").json()
    assert client.post("/admin/jobs/act/cancel/").status_code == 302
    assert client.get("/admin/password_change/").status_code == 302
    page = client.get(asked["Location"]).content.decode()
    assert "recovery codes are left" not in page
    assert "<code" not in page, "no key is shown, nor may another one be set up"


def test_a_code_opens_it_and_leads_on_where_one_wanted_to_go(ann):
    set_up(ann)
    client = browser_of(ann)
    before = client.session.session_key

    answer = client.post(f"{URL}?next={PAGE}", {"code": code_of(ann), "next": PAGE})

    assert answer["Location"] == PAGE
    assert client.get(PAGE).status_code == 200
    assert client.session.session_key != before


def test_it_leads_to_no_other_site(ann):
    set_up(ann)

    answer = browser_of(ann).post(URL, {"code": code_of(ann), "next": "https://evil.example/"})

    assert answer["Location"] == "/admin/"


def test_a_code_works_once(ann):
    set_up(ann)
    code = code_of(ann)
    browser_of(ann).post(URL, {"code": code})
    second = browser_of(ann)

    assert "used already" in second.post(URL, {"code": code}).content.decode()
    assert second.get(PAGE).status_code == 302


def test_wrong_codes_make_one_wait_even_with_the_right_one(ann):
    set_up(ann)
    client = browser_of(ann)
    for _ in range(3):
        client.post(URL, {"code": "123456"})

    answer = client.post(URL, {"code": code_of(ann)}).content.decode()

    assert re.search(r"Try again in \d+ s", answer)
    assert client.get(PAGE).status_code == 302


def test_a_recovery_code_opens_it_once(ann):
    first, *_ = set_up(ann)
    client = browser_of(ann)

    assert client.post(URL, {"code": first.upper()}).status_code == 302
    assert client.get(PAGE).status_code == 200
    assert "9 recovery codes are left" in client.get(URL).content.decode()
    again = browser_of(ann)
    again.post(URL, {"code": first})
    assert again.get(PAGE).status_code == 302


def test_new_recovery_codes_and_taking_it_away_need_a_code(ann):
    old = set_up(ann)
    client = browser_of(ann)
    client.post(URL, {"code": code_of(ann)})

    client.post(URL, {"code": "123456", "remove": "1"})
    assert TOTPDevice.objects.filter(user=ann, confirmed=True).exists()
    TOTPDevice.objects.update(throttling_failure_timestamp=None, throttling_failure_count=0)
    client.post(URL, {"code": code_of(ann, steps=1), "renew": "1"})
    kept = set(StaticToken.objects.values_list("token", flat=True))
    assert len(kept) == 10
    assert kept.isdisjoint(old)
    client.post(URL, {"code": kept.pop(), "remove": "1"})

    assert not TOTPDevice.objects.exists()
    assert not StaticToken.objects.exists()
    assert client.get(PAGE).status_code == 200
    assert browser_of(ann).get(PAGE).status_code == 200


def test_where_it_is_required_nobody_gets_in_without(settings, ann):
    client = browser_of(ann)
    settings.TALLYMAN_TWO_FACTOR = "required"

    assert client.get(PAGE).status_code == 302, "a login of before neither"
    assert "Nobody gets in here without" in client.get(URL).content.decode()
    client.post(URL, {"code": code_of(ann)})
    assert client.get(PAGE).status_code == 200


def test_the_device_of_somebody_else_is_none(settings, ann):
    set_up(ann)
    bob = User.objects.create_superuser("bob", password="right password")
    settings.TALLYMAN_TWO_FACTOR = "required"
    client = browser_of(bob)
    session = client.session
    session[DEVICE_ID_SESSION_KEY] = TOTPDevice.objects.get(user=ann).persistent_id
    session.save()

    assert client.get(PAGE).status_code == 302


def test_a_stranger_and_somebody_who_is_no_staff_are_sent_to_the_login(ann):
    guest = User.objects.create_user("guest", password="right password")
    client = Client()
    assert client.get(URL)["Location"] == "/admin/login/"
    client.force_login(guest)
    assert client.get(URL)["Location"] == "/admin/login/"
    assert not TOTPDevice.objects.exists()


def test_one_can_leave_without_a_code(ann):
    set_up(ann)
    client = browser_of(ann)

    client.post(URL, {"leave": "1"})

    assert client.get(URL)["Location"] == "/admin/login/"


def test_codes_are_posted_with_a_token_of_the_page(ann):
    set_up(ann)
    client = Client(enforce_csrf_checks=True)
    client.cookies = browser_of(ann).cookies

    assert client.post(URL, {"code": code_of(ann)}).status_code == 403


@pytest.mark.django_db(transaction=True)
def test_sockets_ask_for_it_as_well(settings, ann):
    settings.TALLYMAN_TWO_FACTOR = "required"
    attempt = make_attempt(AttemptState.RUNNING)

    async def scenario() -> None:
        tab: Any = await opened(attempt.job_id, ann)
        assert await tab.connect()
        assert await tab.closed() == consumer.LOG_IN

    run(scenario)


def test_where_it_is_off_nothing_is_asked(settings, ann):
    set_up(ann)
    settings.TALLYMAN_TWO_FACTOR = "off"

    assert not second_factor.is_on()
    assert browser_of(ann).get(PAGE).status_code == 200

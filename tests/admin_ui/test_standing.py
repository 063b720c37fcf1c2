"""How long a login stands: what ends it, and what does not."""

from __future__ import annotations

import time

import pytest
from asgiref.sync import async_to_sync
from channels.db import database_sync_to_async
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.test import AsyncClient, Client

from admin_ui import standing
from admin_ui.live_logs import consumer
from jobs.states import AttemptState
from tests.admin_ui.test_log_socket import Tab, opened, run
from tests.jobs.attempts import make_attempt

PAGE = "/admin/jobs/"
LIVE = {"HTTP_HX_REQUEST": "true", "HTTP_HX_CURRENT_URL": f"http://testserver{PAGE}"}


@pytest.fixture
def browser(db, settings) -> Client:
    settings.TALLYMAN_SESSION_IDLE_SECONDS, settings.TALLYMAN_SESSION_MAX_SECONDS = 600, 6000
    client = Client()
    client.force_login(User.objects.create_superuser("ann", password="x"))
    return client


def later(client: Client, *, seen: float = 0, began: float = 0) -> float:
    """Let so much time have passed; since when the person is thought to be idle then."""
    session = client.session
    session[standing.SEEN] -= seen
    session[standing.BEGAN] -= began
    session.save()
    return float(session[standing.SEEN])


def test_it_ends_when_nobody_has_done_anything_for_long(browser):
    later(browser, seen=599)
    assert browser.get(PAGE).status_code == 200
    later(browser, seen=601)

    gone = browser.get(PAGE)

    assert (gone.status_code, gone["Location"]) == (302, f"/admin/login/?next={PAGE}")
    assert Session.objects.count() == 0


def test_it_ends_after_a_day_however_busy_somebody_is(browser):
    later(browser, began=6001)

    assert browser.get(PAGE).status_code == 302


def test_a_page_that_renews_itself_keeps_nobody_logged_in(browser):
    since = later(browser, seen=300)
    assert browser.get("/admin/parts/jobs/", **LIVE).status_code == 200
    assert browser.session[standing.SEEN] == since
    later(browser, seen=400)

    answer = browser.get("/admin/parts/jobs/", **LIVE)

    assert answer["HX-Redirect"].startswith("/admin/login/")


@pytest.mark.parametrize(
    ("ask", "counts"),
    [
        (lambda client: client.get(PAGE), True),
        (lambda client: client.get(PAGE, headers={"Sec-Fetch-Mode": "navigate"}), True),
        (lambda client: client.get(PAGE, headers={"Sec-Fetch-Mode": "cors"}), False),
        (lambda client: client.get("/admin/charts/finished/", headers={"Accept": "application/json"}), False),
        (lambda client: client.get(f"{PAGE}?status=failed", **LIVE), True),
        (lambda client: client.post("/admin/jobs/act/cancel/", **LIVE), True),
    ],
)
def test_what_a_person_does_keeps_it(browser, ask, counts):
    since = later(browser, seen=300)

    ask(browser)

    assert (browser.session[standing.SEEN] > since + 200) is counts


def test_it_is_not_written_down_at_every_click(browser):
    since = browser.session[standing.SEEN]

    browser.get(PAGE)

    assert browser.session[standing.SEEN] == since


def test_limits_can_be_switched_off(browser, settings):
    settings.TALLYMAN_SESSION_IDLE_SECONDS = settings.TALLYMAN_SESSION_MAX_SECONDS = 0
    later(browser, seen=10**7, began=10**7)

    assert browser.get(PAGE).status_code == 200


def test_probes_tell_nothing_to_a_login_that_is_over(browser):
    assert "checks" in browser.get("/health/").json()
    later(browser, seen=601)

    assert "checks" not in browser.get("/health/").json()


def test_asking_who_is_there_in_a_loop_finds_the_same(browser):
    async def answer() -> dict:
        client = AsyncClient()
        client.cookies = browser.cookies
        return (await client.get("/health/")).json()

    assert "checks" in async_to_sync(answer)()
    later(browser, seen=601)
    assert "checks" not in async_to_sync(answer)()


@pytest.mark.django_db(transaction=True)
def test_a_socket_that_is_open_is_closed_when_the_login_is_over(monkeypatch):
    monkeypatch.setattr(consumer, "CHECK_EVERY_SECONDS", 0.1)
    monkeypatch.setattr(consumer, "BEAT_SECONDS", 0.05)
    user = User.objects.create_superuser("ann", password="x")
    attempt = make_attempt(AttemptState.RUNNING)

    def age() -> None:
        store = SessionStore(Session.objects.get().session_key)
        store[standing.SEEN] = time.time() - 10**6
        store.save()

    async def scenario() -> None:
        tab: Tab = await opened(attempt.job_id, user)
        assert await tab.connect()
        await database_sync_to_async(age)()
        while (message := await tab.receive_output(5))["type"] == "websocket.send":
            pass
        assert message["code"] == consumer.LOG_IN

    run(scenario)

"""Two web processes and one Redis: each follows the log for its own browsers, and wakes the other."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from jobs.models import Attempt
from jobs.states import AttemptState, Outcome
from tests.browser.conftest import OpenScreen
from tests.jobs.attempts import end, make_attempt
from tests.jobs.chunks import out, store
from tests.support.redis_server import RedisServer, running_redis
from tests.support.waiting import wait_until
from tests.support.web import Web, running_web

pytestmark = [pytest.mark.browser, pytest.mark.process, pytest.mark.django_db(transaction=True)]

LONG_MS = 15_000


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path) as server:
        yield server


@pytest.fixture
def web(database_url: str, redis: RedisServer) -> Iterator[Web]:
    with running_web(database_url, REDIS_URL=redis.url) as one:
        yield one


@pytest.fixture
def other_web(database_url: str, redis: RedisServer) -> Iterator[Web]:
    with running_web(database_url, REDIS_URL=redis.url) as other:
        yield other


def state(page: Page, word: str) -> None:
    expect(page.locator("[data-log=state]")).to_have_text(word, timeout=LONG_MS)


def lines(page: Page) -> list[str]:
    return page.locator(".log-row:not(.log-event) .log-text").all_inner_texts()


def test_a_log_is_followed_at_two_web_processes_that_wake_each_other_and_outlive_their_redis(
    screen: OpenScreen, other_web: Web, redis: RedisServer
) -> None:
    attempt: Attempt = make_attempt(AttemptState.RUNNING)
    store(attempt, out("first\n"))
    tabs = [screen(), screen(site=other_web)]
    pages = [one.open(reverse("admin:job_log", args=[attempt.job_id])) for one in tabs]
    for page in pages:
        state(page, "Live")

    group = f"tallyman__group__log.{attempt.pk.hex}"
    told = redis.client.pubsub(ignore_subscribe_messages=True)
    told.subscribe(group)
    wait_until(lambda: redis.client.pubsub_numsub(group)[0][1] == 3, 5, "both processes and us to listen")
    for number in range(20):
        store(attempt, out(f"line {number}\n", number))
    for page in pages:
        expect(page.get_by_text("line 19")).to_be_visible()
    message = _next(told)
    assert b"log.grew" in message
    assert b"line" not in message, "Redis carries hints, no log"

    redis.stop()
    store(attempt, out("without redis\n", 30))
    for page in pages:
        expect(page.get_by_text("without redis")).to_be_visible(timeout=LONG_MS)
    other_web.stop()
    state(pages[1], "Disconnected")
    end(attempt, Outcome.SUCCEEDED)
    state(pages[0], "Complete")
    other_web.start()
    state(pages[1], "Complete")
    for page in pages:
        assert lines(page) == ["first", *(f"line {number}" for number in range(20)), "without redis"]
    for one in tabs:
        one.complaints.clear()  # of connections that were refused


def _next(told: object) -> bytes:
    until = time.monotonic() + 5
    while time.monotonic() < until:
        message = told.get_message(timeout=0.5)  # type: ignore[attr-defined]
        if message:
            data = message["data"]
            return data if isinstance(data, bytes) else data.encode()
    raise AssertionError("no process told the others")

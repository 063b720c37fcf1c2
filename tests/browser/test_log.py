"""The log viewer: lines as they come, in all their colours, found, linked, and none of them run."""

from __future__ import annotations

import json
import re

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from jobs.log_text import shown
from jobs.models import Attempt
from jobs.states import AttemptState, Outcome
from tests.browser.conftest import OpenScreen
from tests.browser.screens import DESKTOP, PHONE
from tests.jobs.attempts import end, make_attempt
from tests.jobs.chunks import err, out, store
from tests.jobs.test_log_cap import capped
from tests.jobs.test_log_cap import store as store_capped

pytestmark = [pytest.mark.browser, pytest.mark.process, pytest.mark.django_db(transaction=True)]

HOSTILE = "<img src=x onerror=\"window.hacked=1\"><script>window.hacked=1</script> & 'quoted'"


def address(attempt: Attempt, query: str = "") -> str:
    return reverse("admin:job_log", args=[attempt.job_id]) + query


def state(page: Page, word: str, timeout: float = 15_000) -> None:
    expect(page.locator("[data-log=state]")).to_have_text(word, timeout=timeout)


@pytest.fixture
def attempt() -> Attempt:
    """An attempt that runs, of 3,000 lines."""
    attempt = make_attempt(AttemptState.RUNNING)
    lines = [
        (err if number % 10 == 9 else out)(f"line {number} of the run\n", number / 100)
        for number in range(3000)
    ]
    store(attempt, *(b"".join(lines[start : start + 300]) for start in range(0, 3000, 300)))
    return attempt


def test_a_log_is_followed_and_whoever_scrolls_up_is_left_there(screen: OpenScreen, attempt: Attempt) -> None:
    one = screen()
    page = one.open(address(attempt))
    state(page, "Live")
    expect(page.get_by_text("line 2999 of the run")).to_be_visible()
    assert one.findings() == []
    assert page.locator(".log-row").count() < 150

    store(attempt, out("\x1b[31mred\x1b[0m and \x1b[1;38;5;208morange\x1b[0m\n" + HOSTILE + "\n", 40))
    expect(page.get_by_text(HOSTILE)).to_be_visible()
    expect(page.locator(".log-text span.a-fg1")).to_have_text("red")
    expect(page.locator(".log-text span.a-bold")).to_have_css("color", "rgb(255, 135, 0)")
    assert page.evaluate("window.hacked") is None

    # Whoever scrolls up is left there, whatever comes.
    page.locator("[data-log=older]").click()
    expect(page.get_by_text("line 0 of the run")).to_be_visible()
    store(attempt, out("one more\n", 41))
    expect(page.locator("[data-log=end]")).to_be_visible()
    expect(page.get_by_text("line 0 of the run")).to_be_visible()
    expect(page.get_by_text("one more")).to_have_count(0)
    page.locator("[data-log=end]").click()
    expect(page.get_by_text("one more")).to_be_visible()


def test_lines_are_searched_and_filtered_and_have_addresses(screen: OpenScreen, attempt: Attempt) -> None:
    store(attempt, out("one more\n", 40), out("\x1b[31mred\x1b[0m\n", 41))
    one = screen()
    page = one.open(address(attempt))
    state(page, "Live")
    page.keyboard.press("/")
    page.keyboard.type("line 12")
    expect(page.locator("[data-log=count]")).to_have_text("111 hits")
    page.keyboard.press("Enter")
    expect(page.locator("[data-log=count]")).to_have_text("1 / 111 hits")
    page.locator("[data-log=previous]").click()
    expect(page.locator(".is-current")).to_contain_text("line 1299 of")
    expect(page.locator(".is-current mark")).to_have_text("line 12")
    page.locator("[data-log=regex]").click()
    page.locator("[data-log=query]").fill(r"line 1(0|1)\d\d .*run$")
    expect(page.locator("[data-log=count]")).to_have_text("200 hits")
    page.locator("[data-log=filter]").click()
    page.locator("[data-log=scroll]").press("Home")
    expect(page.locator(".log-row .log-text").first).to_have_text("line 1000 of the run")
    # In its context again, with an address of its own.
    page.locator(".log-row a.log-number").nth(2).click()
    expect(page.locator(".is-target")).to_contain_text("line 1002 of")
    expect(page.get_by_text("line 999 of the run")).to_be_visible()
    assert page.url.endswith("#L1003")
    page.locator("[data-log=query]").fill("(((")
    expect(page.locator("[data-log=count]")).to_contain_text("no regular expression")
    page.locator("[data-log=query]").fill("line|one more")
    page.locator("[data-log=inverse]").click()
    expect(page.locator("[data-log=count]")).to_have_text("1 hit")
    one.complaints[:] = [text for text in one.complaints if "400" not in text]

    page.goto(one.base + address(attempt, "?stream=stderr#L101"))
    expect(page.locator(".is-target")).to_contain_text("line 1009 of the run")
    page.get_by_role("button", name="stdout").click()
    state(page, "Live")
    expect(page.get_by_text("one more")).to_be_visible()
    end(attempt, Outcome.SUCCEEDED, docker_log="2026-05-01T12:00:05.000000Z oom of 512 MiB")
    state(page, "Complete")
    expect(page.locator("#log-head")).to_contain_text("Completed")
    page.get_by_role("button", name="All").click()
    page.locator("[data-log=query]").fill("line 499 ")
    expect(page.locator("[data-log=count]")).to_have_text("1 hit")
    page.locator("[data-log=query]").press("Enter")
    expect(page.locator(".log-event")).to_contain_text("oom of 512 MiB")
    page.locator("[data-log=times]").select_option("absolute")
    expect(page.locator(".log-event .log-time")).to_contain_text(":00:05.000")
    expect(page.locator(".is-current")).to_contain_text("line 499 of")


def test_long_lines_gaps_and_deleted_logs_are_said_and_every_look_is_accessible(screen: OpenScreen) -> None:
    attempt = capped(cap=40_000)
    store_capped(
        attempt,
        out("x" * 16_384) + out("y" * 3_000 + " its end\n") + out("10 %\r100 % done\n"),
        *(out(f"{number:05} {'w' * 200}\n", number) for number in range(400)),
    )
    for size, scheme in ((DESKTOP, "light"), (PHONE, "dark")):
        one = screen(size=size, color_scheme=scheme)
        page = one.open(address(attempt))
        expect(page.get_by_text(re.compile("^00399 w"))).to_be_visible()
        page.locator("[data-log=scroll]").press("Home")
        expect(page.locator(".log-gap")).to_contain_text("lines")
        assert one.findings() == [], (scheme, size)
        assert not one.overflows(), size
    expect(page.get_by_text("100 % done")).to_be_visible()
    expect(page.get_by_text("its end")).to_have_count(0)
    page.get_by_role("button", name="Show all").first.click()
    expect(page.get_by_text("its end")).to_have_count(1)
    cases = [
        "a\x1b[1mb\x1b[0m",
        "x\ry",
        "\x1b]0;t\x07z",
        "\x1b[38:2::1:2:3mc",
        "cut\x1b[",
        "\x1b(Bk\x1bPq\x1b\\l",
        "ü\r🙂🙂\ra",
    ]
    seen = page.evaluate("(cases) => cases.map((one) => tallyman.log.shown(one))", cases)
    assert json.dumps(seen) == json.dumps([shown(one) for one in cases])


def test_without_a_socket_it_asks_again_and_again_and_says_so(screen: OpenScreen, attempt: Attempt) -> None:
    one = screen()
    one.page.route_web_socket(re.compile("/ws/jobs/"), lambda socket: socket.close(code=1011))
    page = one.open(address(attempt))
    state(page, "Polling")
    store(attempt, out("by polling\n", 40))
    expect(page.get_by_text("by polling")).to_be_visible()
    end(attempt, Outcome.SUCCEEDED)
    state(page, "Complete")

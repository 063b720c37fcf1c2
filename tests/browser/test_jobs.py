"""The list of jobs in a browser: it lives, keeps what is chosen, and acts on it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from jobs.models import ContainerJob
from jobs.states import JobStatus
from tests.browser.conftest import OpenScreen
from tests.browser.screens import DESKTOP, PHONE
from tests.support import supervising
from tests.support.factories import make_host, make_job, make_template
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.process, pytest.mark.django_db(transaction=True)]


def row(page: Page, job: ContainerJob):
    return page.locator(f"#job-{job.pk}")


def test_rows_live_while_focus_choice_and_scroll_stay_and_new_jobs_wait_behind_a_pill(
    screen: OpenScreen,
) -> None:
    jobs = [make_job(name=f"job {number}", status=JobStatus.COMPLETED) for number in range(45)]
    last = jobs[5]
    page = screen().open("/admin/jobs/")
    box = row(page, last).get_by_role("checkbox")
    box.scroll_into_view_if_needed()
    box.check()
    link = row(page, last).get_by_role("link", name="job 5", exact=True)
    link.focus()
    scrolled = page.evaluate("() => window.scrollY")
    assert scrolled > 0
    ContainerJob.objects.filter(pk=last.pk).update(status=JobStatus.FAILED, failure_message="It broke.")
    make_job(name="a new one")
    expect(row(page, last)).to_contain_text("It broke.")
    expect(page.get_by_role("status").filter(has_text="1 new job")).to_be_visible()
    expect(box).to_be_checked()
    expect(link).to_be_focused()
    assert page.evaluate("() => window.scrollY") == scrolled
    expect(page.locator("#jobs")).not_to_contain_text("a new one")
    page.get_by_text("1 new job").click()
    expect(page.locator("#jobs")).to_contain_text("a new one")


def test_chosen_jobs_are_acted_upon_after_a_question_and_the_rows_follow_the_outcome(
    screen: OpenScreen, database_url: str, tmp_path: Path
) -> None:
    host = make_host("here", executor_type="process", connection_string="")
    template = make_template("sleeper", docker_image="none", command="sleep 60")
    jobs = [make_job(template, host, name=name) for name in ("one", "two", "three")]
    held = make_job(template, host, name="held", hold="stopped")
    with supervising.running("supervise", database_url=database_url):
        page = screen().open("/admin/jobs/")
        for job in jobs:
            expect(row(page, job).get_by_text("Running", exact=True)).to_be_visible(timeout=20_000)
        row(page, jobs[0]).get_by_role("checkbox").check()
        row(page, jobs[2]).get_by_role("checkbox").click(modifiers=["Shift"])
        expect(page.get_by_text("3 jobs chosen")).to_be_visible()
        page.locator("#bulk").get_by_role("button", name="Cancel").click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("Cancel 3 jobs?")
        expect(dialog).to_contain_text("3 running")
        dialog.get_by_role("button", name="Cancel 3 jobs").click()
        expect(page.get_by_text("3 jobs being cancelled.")).to_be_visible()
        for job in jobs:
            expect(row(page, job).get_by_text("Cancelled", exact=True)).to_be_visible(timeout=20_000)
        row(page, held).get_by_role("checkbox").check()
        page.locator("#bulk").get_by_role("button", name="Start", exact=True).click()
        dialog.get_by_role("button", name="Start 1 job").click()
        expect(row(page, held).get_by_text("Running", exact=True)).to_be_visible(timeout=20_000)
        row(page, held).get_by_role("link", name="Stop held").click()
        dialog.get_by_label("Without grace").check()
        dialog.get_by_role("button", name="Stop 1 job").click()
        expect(row(page, held).get_by_text("Cancelled", exact=True)).to_be_visible(timeout=20_000)


def test_all_that_match_are_deleted_and_the_keyboard_chooses(screen: OpenScreen) -> None:
    for number in range(3):
        make_job(name=f"broken {number}", status=JobStatus.FAILED)
    kept = make_job(name="kept")
    one = screen()
    page = one.open("/admin/jobs/?status=failed")
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.get_by_text("1 job chosen")).to_be_visible()
    page.locator("#all-matching").check()
    page.locator("#bulk").get_by_role("button", name="Delete").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Delete 3 jobs?")
    assert one.findings() == []
    dialog.get_by_role("button", name="Delete 3 jobs").click()
    expect(page.get_by_text("3 jobs deleted.")).to_be_visible()
    expect(page.locator("#bulk")).to_be_hidden()
    wait_until(lambda: list(ContainerJob.objects.all()) == [kept], 5, "the others to be gone")


def test_filters_are_in_the_address_in_utc_and_a_view_of_them_is_kept(screen: OpenScreen) -> None:
    make_template("nightly")
    page = screen(timezone_id="Asia/Tokyo").open("/admin/jobs/")
    page.keyboard.press("/")
    page.keyboard.type("report")
    page.get_by_text("More filters").click()
    page.locator("#filter_created_from").fill("2026-01-01T09:00:00")
    page.get_by_role("combobox", name="Template").fill("nightly")
    page.get_by_role("button", name="Filter", exact=True).click()
    expect(page).to_have_url(re.compile(r"\?q=report&template=nightly&created_from=2026-01-01T00%3A00%3A00$"))
    expect(page.locator("#filter_created_from")).to_have_value(re.compile("^2026-01-01T09:00"))
    page.get_by_role("button", name="Views").click()
    page.get_by_role("link", name="Save this view").click()
    page.get_by_role("dialog").get_by_label("Name").fill("new year")
    with page.expect_navigation():
        page.get_by_role("dialog").get_by_role("button", name="Save").click()
    page.goto(page.url.partition("?")[0])
    page.get_by_role("button", name="Views").click()
    page.get_by_role("link", name="new year", exact=True).click()
    expect(page.get_by_role("searchbox")).to_have_value("report")


def test_a_full_list_is_accessible_and_fits_in_light_and_dark_on_desktop_and_phone(
    screen: OpenScreen,
) -> None:
    template = make_template("a-template-with-a-long-name-that-somebody-gave-it")
    for status in JobStatus.values:
        make_job(
            template,
            name=f"{status} job of some length, with a name that goes on",
            status=status,
            exit_code=1,
        )
    ContainerJob.objects.filter(status="failed").update(failure_message="It ended with exit code 1. " * 5)
    for size in (DESKTOP, PHONE):
        for scheme in ("light", "dark"):
            one = screen(size=size, color_scheme=scheme)
            page = one.open("/admin/jobs/")
            page.get_by_role("checkbox", name="Choose all on this page").check()
            assert one.findings() == [], (size, scheme)
            assert not one.overflows(), size

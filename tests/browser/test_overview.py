"""Dashboard, supervisor and templates in a real browser, on the real stack."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import override_settings
from playwright.sync_api import expect

from hosts.models import Availability, DockerHost, HostRequest
from jobs.models import ContainerJob, ContainerTemplate, EnvironmentVariable
from supervisor.models import Role, SupervisorProcess
from tests.browser.conftest import OpenScreen
from tests.browser.screens import DESKTOP, PHONE
from tests.support import supervising
from tests.support.factories import make_template
from tests.support.supervising import wait_for_workers
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.process, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def host(transactional_db: None, tmp_path: Path) -> DockerHost:
    config = {"root": str(tmp_path / "jobs")}
    return DockerHost.objects.create(name="here", executor_type="process", executor_config=config)


@pytest.fixture
def supervised(host: DockerHost, database_url: str) -> Iterator[None]:
    with supervising.running("supervise", database_url=database_url, TALLYMAN_ALLOW_PROCESS_EXECUTOR="true"):
        wait_for_workers(1)
        yield


@pytest.fixture
def template(transactional_db: None) -> ContainerTemplate:
    template = make_template("import-orders", command="sh -c 'echo no price >&2; exit 3'")
    EnvironmentVariable.objects.create(template=template, key="TOKEN", value="t0psecret", is_secret=True)
    return template


def test_a_test_run_that_fails_is_followed_to_the_dashboard_without_a_reload(
    screen: OpenScreen, supervised: None, template: ContainerTemplate
) -> None:
    board = screen().open("/admin/")
    expect(board.locator("#board")).to_contain_text("No job has failed.")
    expect(board.locator("#board")).to_contain_text("Beating")
    board.evaluate("() => { window.isSamePage = true; }")

    page = screen().open(f"/admin/templates/{template.pk}/")
    expect(page.locator("main")).to_contain_text("set, not shown")
    page.get_by_role("link", name="Test run").click()
    page.get_by_role("dialog").get_by_role("button", name="Run it").click()
    page.wait_for_url(lambda url: "/templates/" not in url)
    wait_until(lambda: ContainerJob.objects.filter(status="failed").exists(), 20, "the job to fail")

    expect(board.locator("#board")).to_contain_text("Test run of import-orders")
    expect(board.locator("#board")).to_contain_text("exit code 3")
    expect(board.locator("#board .said")).to_have_text("no price")
    assert board.evaluate("() => window.isSamePage"), "it was not loaded again"


def test_a_worker_is_paused_resumed_and_restarted_and_the_answers_are_shown(
    screen: OpenScreen, supervised: None, host: DockerHost
) -> None:
    page = screen().open("/admin/supervisor/")
    row = page.locator("tr.role-worker[data-row]")
    expect(row).to_contain_text("here")
    pid = SupervisorProcess.objects.get(role=Role.WORKER).pid

    row.get_by_role("link", name="Pause").click()
    page.get_by_role("dialog").get_by_role("button", name="Pause it").click()
    expect(page.locator("#toasts")).to_contain_text("asked to take no new jobs")
    expect(row).to_contain_text("cordoned")
    wait_until(lambda: HostRequest.objects.exclude(done_at=None).count() == 1, 15, "the worker to answer")
    expect(page.locator("#processes")).to_contain_text("Take no new jobs")

    row.get_by_role("link", name="Resume").click()
    page.get_by_role("dialog").get_by_role("button", name="Resume it").click()
    expect(row).not_to_contain_text("cordoned")

    row.get_by_role("link", name="Restart").click()
    page.get_by_role("dialog").get_by_role("button", name="Restart the worker").click()
    wait_until(
        lambda: SupervisorProcess.objects.filter(role=Role.WORKER, state="running").exclude(pid=pid).exists(),
        20,
        "another worker",
    )
    expect(row).not_to_contain_text(str(pid), timeout=15_000)
    host.refresh_from_db()
    assert host.availability == Availability.ACTIVE


def test_the_chart_shows_another_range_and_the_pages_fit_every_screen(
    screen: OpenScreen, template: ContainerTemplate, host: DockerHost
) -> None:
    editing = ("/admin/tables/", f"/admin/jobs/containertemplate/{template.pk}/change/")
    paths = ("/admin/templates/", f"/admin/templates/{template.pk}/", *editing)
    for size, scheme in ((DESKTOP, "dark"), (PHONE, "light")):
        one = screen(size=size, color_scheme=scheme)
        for path in paths:
            one.open(path)
            assert one.findings() == [], (path, scheme)
            assert not one.overflows(), (path, size)
    page = screen().open("/admin/")
    expect(page.locator("#finished")).to_contain_text("Nothing ended in the last 24 hours.")
    page.get_by_role("button", name="7 days").click()
    expect(page.locator("#finished")).to_contain_text("Nothing ended in the last 7 days.")


def test_the_editing_pages_have_the_same_bar_keys_and_theme(
    screen: OpenScreen, template: ContainerTemplate
) -> None:
    page = screen(color_scheme="light").open("/admin/tables/")
    expect(page.locator("#alerts")).to_contain_text("No supervisor is running", timeout=15_000)
    page.locator("#theme").click()
    page.locator("#theme").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    background = "() => getComputedStyle(document.body).backgroundColor"
    shown = page.evaluate(background)
    page.keyboard.press("g")
    page.keyboard.press("t")
    page.wait_for_url("**/admin/templates/")
    assert page.evaluate(background) == shown, "both are the same colour"


def test_a_person_logs_in_by_the_form(screen: OpenScreen, admin: User) -> None:
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.PBKDF2PasswordHasher"]):
        admin.set_password("a password")  # as the web process reads it
    admin.save()
    one = screen()
    one.page.context.clear_cookies()
    page = one.open("/admin/templates/")
    assert one.findings() == []
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("correct")
    page.get_by_label("Password").fill("a password")
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{one.base}/admin/templates/")
    expect(page.locator("h1")).to_have_text("Templates")

"""Hosts in a browser: one is added, tested and activated; it dies on the screen; it is drained."""

from __future__ import annotations

import re
import statistics

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from hosts.models import DockerHost
from jobs import operations
from jobs.log_lines import Lines
from jobs.models import Attempt, ContainerTemplate
from jobs.states import JobStatus
from tests.browser.conftest import OpenScreen
from tests.browser.screens import PHONE, Screen
from tests.support import supervising
from tests.support.engines import Engine
from tests.support.supervising import wait_for_status, wait_for_workers

pytestmark = [pytest.mark.browser, pytest.mark.process, pytest.mark.django_db(transaction=True)]

LONG = 30_000


def row_of(page: Page, name: str):
    return page.locator("tr[data-row]").filter(has=page.get_by_role("link", name=name, exact=True))


# Notes when each line came onto the screen.
WATCH = """() => {
  window.seen = {};
  new MutationObserver((changes) => {
    for (const change of changes) for (const node of change.addedNodes) {
      const found = /^line (\\d+)$/.exec((node.querySelector(".log-text") || node).textContent);
      if (found && !(found[1] in window.seen)) window.seen[found[1]] = Date.now();
    }
  }).observe(document.querySelector("[data-log-layer]"), { childList: true, subtree: true });
}"""
COUNT = "sh -c 'i=0; while [ $i -lt 50 ]; do echo line $i; i=$((i+1)); sleep 0.1; done'"


def follow_a_container(one: Screen) -> None:
    """Its lines come while it runs, each once and in order, soon after the engine noted them."""
    template = ContainerTemplate.objects.create(
        name="counter", docker_image="busybox:latest", command=COUNT, user="1000"
    )
    job = operations.submit(template)
    wait_for_status(job, JobStatus.RUNNING)
    page = one.open(reverse("admin:job_log", args=[job.pk]))
    page.evaluate(WATCH)
    state = page.locator("[data-log=state]")
    expect(state).to_have_text("Live", timeout=LONG)
    expect(page.get_by_text("line 35", exact=True)).to_be_visible(timeout=LONG)
    job.refresh_from_db()
    assert job.status == JobStatus.RUNNING
    expect(state).to_have_text("Complete", timeout=LONG)
    rows = page.locator(".log-row:not(.log-event) .log-text").all_inner_texts()
    assert rows == [f"line {number}" for number in range(50)]
    noted = [line.at_ms for line in Lines(Attempt.objects.get(job=job).pk).page(0, 50).lines]
    seen = {int(number): at for number, at in page.evaluate("window.seen").items()}
    waits = sorted(at - noted[number] for number, at in seen.items())
    assert len([number for number in seen if number < 36]) > 20, "most came while it was looked at"
    assert statistics.median(waits) < 300


def test_a_real_engine_is_added_tested_activated_and_seen_to_die(
    screen: OpenScreen, database_url: str, two_engines: tuple[Engine, Engine]
) -> None:
    engine, _ = two_engines
    one = screen()
    with supervising.running("supervise", database_url=database_url):
        page = one.open("/admin/hosts/")
        expect(page.locator("#hosts")).to_contain_text("There is no host yet")
        page.get_by_role("link", name="Add a host").first.click()
        page.get_by_role("link", name=re.compile("^Docker A Docker engine")).click()
        page.get_by_label("Name").fill("new engine")
        page.get_by_label("Address").fill(f"{engine.url}-not")
        page.get_by_role("button", name="Save switched off, and test").click()
        expect(page.locator(".invalid-feedback")).to_contain_text("Use letters, digits")
        page.get_by_label("Name").fill("new-engine")
        page.get_by_role("button", name="Save switched off, and test").click()
        test = page.locator("#test")
        expect(test).to_contain_text("there is no socket at its address", timeout=LONG)
        expect(test.locator(".step-failed")).to_contain_text("Does the engine run")
        assert one.findings() == []
        page.get_by_role("link", name="Change settings").click()
        page.get_by_label("Address").fill(engine.url)
        page.get_by_role("button", name="Save and test").click()
        expect(test).to_contain_text("Reachable: version", timeout=LONG)
        expect(test.locator("li", has_text="May create containers")).to_have_class("step-ok")
        page.get_by_role("link", name="Activate").click()
        page.get_by_role("dialog").get_by_role("button", name="Activate 1 host").click()
        expect(page.locator("#toasts")).to_contain_text("Takes jobs: new-engine.")
        wait_for_workers(1)
        page = one.open("/admin/hosts/")
        expect(row_of(page, "new-engine").locator(".host-state")).to_contain_text("Online", timeout=LONG)
        follow_a_container(screen())
        page.evaluate("() => { window.unreloaded = true; }")
        engine.kill()
        expect(row_of(page, "new-engine").locator(".host-state")).to_contain_text("Unreachable", timeout=LONG)
        expect(page.locator("#alerts")).to_contain_text("Host new-engine is unreachable", timeout=LONG)
        assert page.evaluate("() => window.unreloaded"), "the page was not loaded again"
    assert DockerHost.objects.get().is_active


def test_hosts_are_chosen_drained_and_weighed_while_the_list_lives(
    screen: OpenScreen, database_url: str, tmp_path: object
) -> None:
    hosts = [
        DockerHost.objects.create(
            name=name, executor_type="process", executor_config={"root": f"{tmp_path}/{name}"}, weight=weight
        )
        for name, weight in (("one", 200), ("two", 100))
    ]
    template = ContainerTemplate.objects.create(name="t", docker_image="none", command="sleep 60")
    one = screen()
    with supervising.running("supervise", database_url=database_url):
        wait_for_workers(2)
        job = operations.submit(template, name="sleeper", host=hosts[0])
        wait_for_status(job, "running")
        page = one.open("/admin/hosts/")
        expect(row_of(page, "one")).to_contain_text("1 / 10")
        for host in hosts:
            page.get_by_label(f"Select {host.name}").check()
        expect(page.locator("#bulk")).to_contain_text("2 selected")
        DockerHost.objects.filter(pk=hosts[1].pk).update(labels={"zone": "eu"})
        expect(row_of(page, "two")).to_contain_text("zone=eu")
        expect(page.get_by_label("Select one")).to_be_checked()
        page.get_by_role("button", name="Drain").click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("Drain 2 hosts")
        assert one.findings() == []
        dialog.get_by_label("Minutes to wait").fill("30")
        dialog.get_by_label("Jobs that still run then").select_option("stop")
        dialog.get_by_role("button", name="Drain 2 hosts").click()
        expect(row_of(page, "one").locator(".host-state")).to_contain_text("draining")
        expect(row_of(page, "one").locator(".host-state")).to_contain_text("then: stop them")
        weight = page.get_by_label("Weight of two")
        weight.fill("7")
        weight.press("Enter")
        expect(page.locator("#toasts")).to_contain_text("two weighs 7.")
        row_of(page, "two").get_by_role("button", name="Acts on two").click()
        page.get_by_role("link", name="Activate").click()
        page.get_by_role("dialog").get_by_role("button", name="Activate 1 host").click()
        expect(row_of(page, "two").locator(".host-state")).not_to_contain_text("draining")
        page.get_by_role("link", name="one", exact=True).click()
        expect(page.locator("#host-head")).to_contain_text("1 job still runs.")
        expect(page.locator("#host-body")).to_contain_text("sleeper")
        expect(page.locator("#chart-jobs canvas")).to_be_visible(timeout=LONG)
        page.locator('[data-chart-of="chart-jobs"]', has_text="24 h").click()
        expect(page.locator("#chart-jobs")).to_have_attribute("aria-label", re.compile("24 h"))
        page.locator("#host-head").get_by_role("link", name="Test").click()
        page.get_by_role("dialog").get_by_role("button", name="Test 1 host").click()
        expect(page.locator("#host-body")).to_contain_text("Reachable: version", timeout=LONG)
        assert one.findings() == []
        small = screen(size=PHONE, color_scheme="dark")
        expect(row_of(small.open("/admin/hosts/"), "one").get_by_role("button")).to_be_in_viewport(ratio=1)
        small.open(f"/admin/hosts/{hosts[0].pk}/")
        assert small.findings() == []
        assert not small.overflows()
        operations.cancel(job.pk, who="test", force=True)
        wait_for_status(job, "cancelled")
    values = DockerHost.objects.values_list("availability", "weight")
    assert set(values) == {("draining", 200), ("active", 7)}

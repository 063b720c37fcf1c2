"""A log on the real stack: a job that writes, its worker, the web process, and a browser that follows."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from hosts.models import DockerHost
from jobs import operations
from jobs.models import ContainerTemplate
from jobs.states import JobStatus
from tests.browser.conftest import OpenScreen
from tests.support import supervising
from tests.support.web import Web

pytestmark = [pytest.mark.browser, pytest.mark.process, pytest.mark.django_db(transaction=True)]

# Writes the time into each line: seldom, then often, then until it is told to end.
JOB = """
import os, sys, time
number = 0
def say(pause):
    global number
    print(f"{number} at {time.time():.3f}", file=sys.stderr if number % 5 == 4 else sys.stdout, flush=True)
    number += 1
    time.sleep(pause)
while not os.path.exists(sys.argv[1] + ".begin"):
    time.sleep(0.02)
for _ in range(12):
    say(0.53)
for _ in range(60):
    say(0.03)
while number < 220 and not os.path.exists(sys.argv[1] + ".end"):
    say(0.2)
for _ in range(20):
    say(0.01)
print(f"all {number} written", end="")
"""

# Notes when each line came onto the screen.
WATCH = """() => {
  window.seen = {};
  new MutationObserver((changes) => {
    for (const change of changes) for (const node of change.addedNodes) {
      const found = /(\\d+) at (\\d+\\.\\d+)$/.exec((node.querySelector(".log-text") || node).textContent);
      if (found && !(found[1] in window.seen)) window.seen[found[1]] = Date.now() / 1000 - Number(found[2]);
    }
  }).observe(document.querySelector("[data-log-layer]"), { childList: true, subtree: true });
}"""


def test_lines_come_while_they_are_written_and_each_once_though_the_web_process_restarts(
    screen: OpenScreen, web: Web, database_url: str, tmp_path: Path, record_property
) -> None:
    script, sign = tmp_path / "job.py", tmp_path / "sign"
    script.write_text(JOB)
    DockerHost.objects.create(
        name="here", executor_type="process", executor_config={"root": str(tmp_path / "jobs")}
    )
    template = ContainerTemplate.objects.create(name="writer", docker_image="ignored:latest")
    with supervising.running("supervise", database_url=database_url):
        job = operations.submit(template, command=f"python3 {script} {sign}")
        supervising.wait_for_status(job, JobStatus.RUNNING)
        one = screen()
        page = one.open(reverse("admin:job_log", args=[job.pk]))
        state = page.locator("[data-log=state]")
        expect(state).to_have_text("Live", timeout=15_000)
        page.evaluate(WATCH)
        Path(f"{sign}.begin").touch()
        expect(page.get_by_text("71 at ")).to_be_visible(timeout=30_000)
        late = {int(number): seconds for number, seconds in page.evaluate("window.seen").items()}

        web.stop()
        expect(state).to_have_text("Disconnected", timeout=15_000)
        web.start()
        expect(state).to_have_text("Live", timeout=40_000)
        Path(f"{sign}.end").touch()
        expect(page.locator(".log-row").get_by_text(" written")).to_be_visible(timeout=20_000)
        expect(state).to_have_text("Complete")
        supervising.wait_for_status(job, JobStatus.COMPLETED)
    one.complaints.clear()  # of connections that were refused

    rows = page.locator(".log-row:not(.log-event) .log-text").all_inner_texts()
    assert f"all {len(rows) - 1} written" in rows
    # Each line once. This executor reads two files: only the lines of one stream are in their order.
    numbers = [int(row.split(" at ")[0]) for row in rows if " at " in row]
    assert sorted(numbers) == list(range(len(rows) - 1))
    for is_stderr in (True, False):
        of_stream = [number for number in numbers if (number % 5 == 4) is is_stderr]
        assert of_stream == sorted(of_stream)
    for kind, some in (("seldom", range(1, 12)), ("often", range(12, 72))):
        waits = sorted(late[number] for number in some if number in late)
        late_ones = waits[int(len(waits) * 0.95)]
        print(f"{kind}: {len(waits)} lines, p50 {statistics.median(waits):.3f} s, p95 {late_ones:.3f} s")
        assert len(waits) >= len(some) - 1
        record_property(kind, waits)
        assert statistics.median(waits) < 0.3

"""A job's page and the page of a new job, with a supervisor that really runs what is submitted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from hosts.models import DockerHost
from jobs import operations
from jobs.models import ContainerJob, ContainerTemplate, EnvironmentVariable, UsageSample
from jobs.states import AttemptState, JobStatus, Outcome
from tests.browser.conftest import OpenScreen
from tests.browser.screens import DESKTOP, PHONE
from tests.jobs.attempts import make_attempt
from tests.support import supervising
from tests.support.factories import make_template

pytestmark = [pytest.mark.browser, pytest.mark.process, pytest.mark.django_db(transaction=True)]

SECRET = "s3cr3t-v4lue"
TABS = ("logs", "resources", "configuration", "metadata", "attempts", "events")
LONG_MS = 20_000


@pytest.fixture
def template(tmp_path: Path) -> ContainerTemplate:
    """Jobs of it say two things and fail once the file is there, in a host of plain processes."""
    DockerHost.objects.create(
        name="here", executor_type="process", executor_config={"root": str(tmp_path / "jobs")}
    )
    until = f"until [ -e {tmp_path / 'go'} ]; do sleep 0.1; done"
    make_template("other")
    found = make_template("paint", command=f"sh -c 'echo $COLOUR; {until}; exit 3'", timeout_seconds=60)
    EnvironmentVariable.objects.create(template=found, key="COLOUR", value="red")
    return found


@pytest.fixture
def supervised(database_url: str) -> Iterator[None]:
    with supervising.running("supervise", "--poll-interval", "0.5", database_url=database_url):
        supervising.wait_for_workers(1)
        yield


def test_a_job_is_picked_edited_seen_run_followed_and_retried(
    screen: OpenScreen, template: ContainerTemplate, supervised: None, tmp_path: Path
) -> None:
    page = screen().open("/admin/jobs/new/")
    page.locator("[data-search]").press_sequentially("pai")
    expect(page.get_by_role("link", name="other")).to_have_count(0)
    page.get_by_role("link", name="paint").click()
    _fill_in(page)
    with page.expect_navigation():
        page.get_by_role("button", name="Run and follow").click()
    job = ContainerJob.objects.get()
    assert page.url.endswith(f"/admin/jobs/{job.pk}/")
    assert (job.override_environment, job.secret_environment) == ({"COLOUR": "blue"}, {"KEY": SECRET})
    _follow(page, tmp_path / "go")
    _revive(page, job)


def _fill_in(page: Page) -> None:
    """Two variables, one of them secret; the preview follows, and does not know the secret."""
    preview = page.locator("#preview")
    expect(preview).to_contain_text("Host here takes it")
    expect(preview.get_by_role("row", name="COLOUR")).to_contain_text("red")
    preview.get_by_text("What each host says").click()
    page.locator("#id_name").fill("by hand")
    page.locator("#id_env-0-key").fill("COLOUR")
    page.get_by_role("textbox", name="Value").fill("blue")
    row = preview.get_by_role("row", name="COLOUR")
    expect(row).to_contain_text("blue")
    expect(row).to_contain_text("instead of the template's")
    expect(preview.get_by_role("row", name="here")).to_be_visible()  # it was unfolded before the change
    page.get_by_role("button", name="Add a variable").click()
    page.locator("#id_env-1-key").fill("KEY")
    page.get_by_label("Secret").nth(1).check()
    page.get_by_role("textbox", name="Value").nth(1).fill(SECRET)
    expect(preview.get_by_role("row", name="KEY")).to_contain_text("secret, not shown")
    expect(preview).not_to_contain_text(SECRET)


def _follow(page: Page, go: Path) -> None:
    """Without a reload: it runs, its time counts on, it ends, and says why."""
    head = page.locator("#job-head")
    expect(head.get_by_role("status")).to_have_text("Running", timeout=LONG_MS)
    expect(head.get_by_role("progressbar")).to_be_visible()
    expect(head.get_by_role("listitem").filter(has_text="Started")).to_have_attribute("aria-current", "step")
    expect(head.get_by_role("link", name="Stop")).to_be_visible()
    page.evaluate("window.isTheSamePage = true")
    go.touch()
    expect(head.get_by_role("status")).to_have_text("Failed", timeout=LONG_MS)
    expect(head).to_contain_text("It ended with exit code 3.")
    expect(head.get_by_role("link", name="Retry")).to_be_visible()
    expect(head.get_by_role("listitem").filter(has_text="Ended")).to_be_visible()
    assert page.evaluate("window.isTheSamePage")


def _revive(page: Page, job: ContainerJob) -> None:
    """The parts of an ended job ask no more by themselves; after an act they do, and begin anew."""
    operations.retry(job.pk, who="somebody")
    page.evaluate("window.tallyman.refresh()")
    expect(page.locator("#job-head")).to_contain_text("Attempt 2", timeout=LONG_MS)


def _rich_job(template: ContainerTemplate) -> ContainerJob:
    """A job that failed, was measured, and says something in every tab."""
    job = operations.submit(template, environment={"COLOUR": "blue"}, secret_environment={"KEY": "k"})
    ended = timezone.now()
    attempt = make_attempt(
        AttemptState.ENDED,
        job=job,
        outcome=Outcome.OOM,
        oom_killed=True,
        exit_code=137,
        failure_message="It was killed because it ran out of memory.",
        started_at=ended - timedelta(seconds=60),
        finished_at=ended,
        ended_at=ended,
    )
    UsageSample.objects.bulk_create(
        UsageSample(attempt=attempt, at=ended - timedelta(seconds=second), memory_bytes=second, pids=1)
        for second in range(60)
    )
    failure = {
        "failure_class": "oom",
        "failure_message": attempt.failure_message,
        "failure_hint": "Try more.",
    }
    metadata = {"container_id": "c0ffee", "ports": {"80/tcp": 32768}, "volumes": ["/a:/b"]}
    ended_job = {"status": JobStatus.FAILED, "started_at": attempt.started_at, "completed_at": ended}
    ContainerJob.objects.filter(pk=job.pk).update(**failure, **ended_job, executor_metadata=metadata)
    return job


def test_every_tab_is_accessible_in_light_and_dark_on_desktop_and_phone(
    screen: OpenScreen, template: ContainerTemplate
) -> None:
    job = _rich_job(template)
    waiting = operations.submit(make_template("gpu", required_labels={"gpu": "a100"}))
    pages = [f"/admin/jobs/{job.pk}/?tab={tab}" for tab in TABS]
    pages += [f"/admin/jobs/{waiting.pk}/", f"/admin/jobs/new/?from={job.pk}"]
    for size, scheme in ((DESKTOP, "light"), (PHONE, "dark")):
        one = screen(size=size, color_scheme=scheme)
        for path in pages:
            page = one.open(path)
            for summary in page.locator("summary").all():
                summary.click()
            assert one.findings() == [], (path, scheme)
            assert not one.overflows(), (path, size)


def test_a_mistake_is_told_at_its_field_and_what_was_typed_is_still_there(
    screen: OpenScreen, template: ContainerTemplate
) -> None:
    page = screen().open(f"/admin/jobs/new/?template={template.pk}")
    page.get_by_label("Command").fill("it's")
    page.get_by_role("textbox", name="Value").fill("line 1\nline 2")
    page.get_by_role("button", name="Run and follow").click()
    expect(page.locator("#id_command_error")).to_contain_text("cannot be split into words")
    expect(page.get_by_text("Give the variable a name.")).to_be_visible()
    expect(page.get_by_role("textbox", name="Value").first).to_have_value("line 1\nline 2")
    expect(page.get_by_label("Command")).to_have_value("it's")
    assert not ContainerJob.objects.exists()

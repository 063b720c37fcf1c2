"""What is done to a job from its own page: asked first, followed without a reload, and gone on from."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from jobs.models import ContainerJob
from tests.browser.conftest import OpenScreen
from tests.support.factories import make_job

pytestmark = [pytest.mark.browser, pytest.mark.process, pytest.mark.django_db(transaction=True)]


def act(page: Page, name: str) -> None:
    """Press a button of the header, and agree to what the dialog says."""
    head(page).get_by_role("link", name=name).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("mine")
    dialog.locator("form .btn-primary, form .btn-danger").click()


def head(page: Page) -> Locator:
    return page.locator("#job-head")


def test_a_job_is_held_cancelled_retried_restarted_and_deleted_from_its_page(screen: OpenScreen) -> None:
    job = make_job(name="mine")
    page = screen().open(f"/admin/jobs/{job.pk}/?tab=events")
    act(page, "Hold")
    expect(head(page)).to_contain_text("Stopped by a person")
    act(page, "Cancel")
    expect(head(page).get_by_role("status")).to_have_text("Cancelled")
    act(page, "Retry")
    expect(head(page).get_by_role("status")).to_have_text("Pending")
    expect(page.locator("#job-tab")).to_contain_text("retry requested")
    ContainerJob.objects.filter(pk=job.pk).update(name="still mine")  # its parts ask by themselves again
    expect(head(page)).to_contain_text("still mine")
    act(page, "Restart")
    page.wait_for_url(lambda url: str(job.pk) not in url)
    new = ContainerJob.objects.exclude(pk=job.pk).get()
    assert str(new.pk) in page.url
    page.goto(page.url.replace(str(new.pk), str(job.pk)))
    act(page, "Delete")
    page.wait_for_url("**/admin/jobs/")
    assert not ContainerJob.objects.filter(pk=job.pk).exists()

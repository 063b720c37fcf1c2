"""Paging through the list of jobs, by keys and by windows."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from admin_ui.pages.jobs import search, tabs
from admin_ui.pages.jobs.keyset import Key
from jobs.models import ContainerJob
from tests.admin_ui.job_lists import NOW, link, make_jobs, names, names_in, page
from tests.support.factories import make_job, make_template

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fresh_counts(monkeypatch):
    monkeypatch.setattr(tabs, "KEPT_SECONDS", 0.0)


def test_pages_go_through_all_jobs_once_and_back_again(admin_client, monkeypatch):
    monkeypatch.setattr(search, "PAGE", 4)
    make_jobs(11)
    expected = [str(number) for number in range(10, -1, -1)]
    content, seen = page(admin_client), []
    pages = []
    while True:
        pages.append(names_in(content))
        seen += pages[-1]
        if not (older := link(content, "next")):
            break
        content = page(admin_client, **older)
    assert seen == expected
    content = page(admin_client, **link(content, "prev"))
    assert names_in(content) == pages[1]
    content = page(admin_client, **link(content, "prev"))
    assert names_in(content) == pages[0]
    assert not link(content, "prev")


def test_jobs_of_one_moment_are_paged_through_too(admin_client, monkeypatch):
    monkeypatch.setattr(search, "PAGE", 2)
    make_jobs(5)
    ContainerJob.objects.update(created_at=NOW)
    content = page(admin_client)
    seen = names_in(content)
    while older := link(content, "next"):
        content = page(admin_client, **older)
        seen += names_in(content)
    assert sorted(seen) == ["0", "1", "2", "3", "4"]


def test_moments_that_the_database_wrote_are_paged_through_as_well(admin_client, monkeypatch):
    monkeypatch.setattr(search, "PAGE", 1)
    for number in range(3):  # created_at is the database's own default
        make_job(name=str(number))
    content = page(admin_client)
    seen = names_in(content)
    while older := link(content, "next"):
        content = page(admin_client, **older)
        seen += names_in(content)
    assert seen == ["2", "1", "0"]


def test_a_page_stays_where_it_is_when_its_first_job_is_deleted(admin_client, monkeypatch):
    monkeypatch.setattr(search, "PAGE", 2)
    jobs = make_jobs(6)
    place = str(Key(NOW + timedelta(seconds=3), jobs[3].pk))
    jobs[3].delete()
    assert names(admin_client, after=place) == ["2", "1"]


def test_a_place_that_is_none_shows_the_newest(admin_client):
    make_jobs(2)
    for wrong in ("x", "1-x", f"{10**30}-{UUID(int=1).hex}", "-"):
        assert names(admin_client, after=wrong) == ["1", "0"]


class TestWindows:
    @pytest.fixture(autouse=True)
    def small(self, monkeypatch):
        monkeypatch.setattr(search, "WINDOW", 5)

    def test_what_no_index_knows_is_looked_up_in_a_window_and_the_page_says_so(self, admin_client):
        jobs = make_jobs(20)
        ContainerJob.objects.filter(pk=jobs[2].pk).update(name="wanted")
        content, looks = page(admin_client, q="wanted"), 1
        assert "None of the jobs that were looked at is such a one" in content
        while not names_in(content):
            assert "Look further back" in content
            content, looks = page(admin_client, **link(content, "next")), looks + 1
        assert names_in(content) == ["wanted"]
        assert looks == 3  # six jobs each

    def test_an_index_that_leaves_few_jobs_is_looked_through_to_its_end(self, admin_client):
        make_jobs(20)
        make_jobs(1, template=make_template("rare"))
        content = page(admin_client, template="rare", q="0", status="pending")
        assert names_in(content) == ["0"]
        assert "Look further back" not in content

    def test_the_way_back_to_newer_jobs_goes_through_windows_too(self, admin_client, monkeypatch):
        monkeypatch.setattr(search, "PAGE", 2)
        jobs = make_jobs(20)
        place = str(Key(NOW, jobs[0].pk))
        content = page(admin_client, q="1", before=place)
        assert names_in(content) == ["1"]
        content = page(admin_client, **link(content, "prev"))
        assert names_in(content) == ["11", "10"]

    def test_everything_that_matches_is_found_by_who_looks_to_the_end(self):
        jobs = make_jobs(20)
        wanted = search.Wanted(text="1")
        found = search.Search(wanted).ids(100)
        assert found == [job.pk for job in reversed(jobs) if "1" in job.name]
        assert search.Search(wanted).ids(3) == found[:3]
        batches = [[job.name for job in batch] for batch in search.Search(wanted).batches(2)]
        assert [name for batch in batches for name in batch] == [
            job.name for job in reversed(jobs) if "1" in job.name
        ]

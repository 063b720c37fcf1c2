"""The list of jobs, as its tests read it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from django.urls import reverse

from jobs.models import ContainerJob
from tests.support.factories import make_job

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def page(client, path: str = "admin:jobs", **filters: str) -> str:
    response = client.get(reverse(path), filters)
    assert response.status_code == 200
    return response.content.decode()


def names(client, **filters: str) -> list[str]:
    """The names of the jobs that are listed, in their order."""
    return names_in(page(client, **filters))


def names_in(content: str) -> list[str]:
    return re.findall(r'class="job-name"><a href="[^"]+">([^<]+)</a>', content)


def link(content: str, rel: str) -> dict[str, str]:
    """The place that a link to another page names."""
    found = re.search(rf'href="\?([^"]*)" rel="{rel}"', content)
    return dict(one.split("=") for one in found[1].split("&amp;") if one) if found else {}


def make_jobs(count: int, **fields) -> list[ContainerJob]:
    """Named 0, 1, ... from the oldest to the newest, a second apart."""
    jobs = [make_job(name=str(number), **fields) for number in range(count)]
    for number, job in enumerate(jobs):
        ContainerJob.objects.filter(pk=job.pk).update(created_at=NOW + timedelta(seconds=number))
    return jobs

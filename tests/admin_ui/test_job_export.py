"""Jobs as a file: what the list finds, row by row, never a secret and never a formula."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import tracemalloc
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import connections
from django.test import AsyncClient
from django.urls import reverse
from django.utils import timezone

from admin_ui.pages.jobs import export
from jobs.models import ContainerJob
from jobs.states import AttemptState, JobStatus
from tests.jobs.attempts import make_attempt
from tests.support.factories import make_host, make_job, make_template

pytestmark = pytest.mark.django_db


def download(client, kind: str, **filters: str) -> bytes:
    response = client.get(reverse("admin:jobs_export", args=[kind]), filters)
    assert response.status_code == 200
    assert f".{kind}" in response["Content-Disposition"]
    return b"".join(response)


def table(client, **filters: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(download(client, "csv", **filters).decode(), newline="")))


def test_both_kinds_hold_the_filtered_jobs_newest_first(admin_client):
    host = make_host("berlin")
    started = timezone.now() - timedelta(hours=1)
    make_job(name='old, "quoted"\nand broken', status=JobStatus.FAILED, exit_code=-1)
    ran = make_attempt(
        AttemptState.RUNNING, job=make_job(make_template("nightly"), name="ran"), host=host
    ).job
    ended = started + timedelta(seconds=90)
    ContainerJob.objects.filter(pk=ran.pk).update(
        status="failed", started_at=started, completed_at=ended, exit_code=3
    )
    make_job(name="pending")
    rows = table(admin_client, status="failed")
    assert [row["name"] for row in rows] == ["ran", 'old, "quoted"\nand broken']
    assert (rows[0]["host"], rows[0]["template"], rows[0]["exit_code"]) == ("berlin", "nightly", "3")
    assert (rows[0]["duration_seconds"], rows[0]["id"]) == ("90.0", str(ran.pk))
    assert rows[1]["exit_code"] == "-1"
    found = json.loads(download(admin_client, "json", status="failed"))
    assert [one["name"] for one in found] == [row["name"] for row in rows]
    assert found[0]["duration_seconds"] == 90.0
    assert found[0]["started_at"] == started.isoformat()


def test_nothing_found_is_a_whole_file_too(admin_client):
    assert json.loads(download(admin_client, "json")) == []
    assert table(admin_client) == []
    assert download(admin_client, "csv").startswith(b"id,name,template,")


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_no_cell_is_a_formula(admin_client, name):
    make_job(name=name, limit_key="=2")
    row = table(admin_client)[0]
    assert row["name"] == f"'{name}"
    assert row["limit_key"] == "'=2"


def test_no_value_of_an_environment_or_command_is_in_it(admin_client):
    make_job(
        override_environment={"A": "plain value"},
        secret_environment={"B": "secret value"},
        override_command="run --password=hidden",
    )
    for kind in ("csv", "json"):
        content = download(admin_client, kind)
        for secret in (b"plain value", b"secret value", b"hidden"):
            assert secret not in content


def test_many_jobs_come_in_batches_each_once(admin_client, monkeypatch):
    monkeypatch.setattr(export, "BATCH", 3)
    template = make_template()
    jobs = ContainerJob.objects.bulk_create(ContainerJob(template=template, name=str(n)) for n in range(10))
    rows = table(admin_client)
    assert sorted(row["id"] for row in rows) == sorted(str(job.pk) for job in jobs)
    assert len(json.loads(download(admin_client, "json"))) == 10


def test_its_memory_does_not_grow_with_the_jobs(admin_client, monkeypatch):
    monkeypatch.setattr(export, "BATCH", 15)
    template = make_template()
    text = "x" * 2000

    def peak() -> int:
        response = admin_client.get(reverse("admin:jobs_export", args=["csv"]))
        next(iter(response))
        tracemalloc.start()
        try:
            assert sum(map(len, response)) > 50_000
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    def add(count: int) -> None:
        ContainerJob.objects.bulk_create(
            ContainerJob(template=template, status="failed", failure_message=text) for _ in range(count)
        )

    add(60)
    few = peak()
    add(240)
    assert peak() < 1.5 * few


@pytest.mark.django_db(transaction=True)
def test_it_streams_under_asgi_too(admin_user):
    make_job(name="one")

    async def ask() -> bytes:
        client = AsyncClient()
        await client.aforce_login(admin_user)
        response: Any = await client.get(reverse("admin:jobs_export", args=["csv"]))
        assert response.is_async
        pieces = [piece async for piece in response]
        await sync_to_async(connections.close_all)()  # a server does it at the end of the request
        return b"".join(pieces)

    assert b"one" in asyncio.run(ask())


def test_filters_that_cannot_be_understood_give_no_file(admin_client):
    response = admin_client.get(reverse("admin:jobs_export", args=["csv"]), {"template": "nope"})
    assert response.status_code == 400


def test_it_is_for_those_who_may_see_jobs(client):
    address = reverse("admin:jobs_export", args=["csv"])
    assert client.get(address).status_code == 302
    client.force_login(User.objects.create_user("clerk", is_staff=True))
    assert client.get(address).status_code == 403

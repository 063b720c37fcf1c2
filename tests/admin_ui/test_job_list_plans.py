"""Whatever the list is asked for is answered from an index, and never by more rows than a window has."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from admin_ui.pages.jobs import search, tabs
from admin_ui.pages.jobs.keyset import Key
from jobs.models import Attempt, ContainerJob
from jobs.states import JobStatus
from tests.jobs.test_flat_cost import rows_read, statements
from tests.support.factories import make_host, make_template

pytestmark = pytest.mark.django_db

JOBS = 1500
WINDOW, PAGE, FEW = 100, 10, 20
GROWING = ("jobs_containerjob", "jobs_attempt", "jobs_jobevent")
FILTERS = {
    "nothing": {},
    **{f"status {status}": {"status": status} for status in JobStatus.values},
    "a template": {"template": "t0"},
    "a rare template": {"template": "rare"},
    "a template and a status": {"template": "t1", "status": "failed"},
    "a rare template and a status": {"template": "rare", "status": "completed"},
    "a host": {"host": "h0"},
    "a rare host": {"host": "rare"},
    "a host and a status": {"host": "h1", "status": "failed"},
    "a host and a template": {"host": "h1", "template": "t1"},
    "the last hours": {"within": "24h"},
    "a range": {"created_from": "2020-01-01T00:00", "created_to": "2020-01-02T00:00"},
    "a range and a status": {"within": "1h", "status": "failed"},
    "a duration": {"longer": "1h"},
    "a duration and a status": {"longer": "30", "status": "running"},
    "an exit code": {"exit": "99"},
    "any exit code but 0": {"exit": "!0"},
    "a limit key": {"key": "db"},
    "a text": {"q": "7"},
    "a text that nothing has": {"q": "nowhere"},
    "a text and a status": {"q": "7", "status": "failed"},
    "all at once": {"q": "7", "status": "failed", "template": "t1", "host": "h1", "exit": "1", "longer": "1"},
}


@pytest.fixture
def many(monkeypatch) -> list[ContainerJob]:
    """Jobs of four templates on four hosts, most of them ended, and of each kind one with next to nothing."""
    monkeypatch.setattr(search, "WINDOW", WINDOW)
    monkeypatch.setattr(search, "PAGE", PAGE)
    monkeypatch.setattr(search, "_FEW", FEW)
    monkeypatch.setattr(tabs, "COUNTED", WINDOW)
    monkeypatch.setattr(tabs, "KEPT_SECONDS", 0.0)
    templates = [make_template(f"t{number}") for number in range(4)]
    hosts = [make_host(f"h{number}") for number in range(4)]
    rare_template, rare_host = make_template("rare"), make_host("rare")
    moment = timezone.now()
    jobs = []
    for number in range(JOBS):
        rare = number % 500 == 17
        status = "failed" if number % 10 == 3 else "completed" if number < JOBS - 300 else "pending"
        jobs.append(
            ContainerJob(
                template=rare_template if rare else templates[number % 4],
                docker_host=(rare_host if rare else hosts[number % 4]) if number % 2 else None,
                name=str(number),
                status=status,
                attempt_count=1,
                created_at=moment - timedelta(minutes=JOBS - number),
                started_at=moment - timedelta(minutes=JOBS - number),
                completed_at=moment - timedelta(minutes=JOBS - number, seconds=-number % 50),
                exit_code=int(status == "failed"),
            )
        )
    ContainerJob.objects.bulk_create(jobs)
    Attempt.objects.bulk_create(
        Attempt(
            job=job,
            number=1,
            host=(rare_host if number % 500 == 17 else hosts[number % 4]),
            host_name="h",
            epoch=1,
            state="ended",
            outcome="succeeded",
            container_name="c",
        )
        for number, job in enumerate(jobs)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return jobs


def scans(sql: str, params: object) -> list[str]:
    """The lines of SQLite's plan that read a growing table in no order, or sort what they read."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
        lines = [row[3] for row in cursor.fetchall()]
    bad = [
        line
        for line in lines
        if line.startswith("SCAN")
        and any(table in line for table in GROWING)
        and not ("job_newest" in line and "LIMIT" in sql)
    ]
    few = " IN (" in sql  # these few, by their keys
    return bad + [line for line in lines if "ORDER BY" in line and not few]


def test_no_filter_tab_or_page_reads_more_than_its_window(many, admin_client):
    admin_client.get(reverse("admin:jobs"))  # whatever is looked up once a process
    middle, top = str(Key.of(many[JOBS // 2])), str(Key.of(many[-200]))
    seen_before: set[tuple[str, str]] = set()
    for name, filters in FILTERS.items():
        places = [{"after": middle}, {"before": middle}, {"top": top}]
        for place in places if len(filters) < 2 else places[:1]:
            with statements() as seen:
                response = admin_client.get(reverse("admin:part_jobs"), {**filters, **place})
            assert response.status_code == 200
            asked = [one for one in seen if any(table in one[0] for table in GROWING)]
            assert asked, name
            for sql, params in asked:
                if (sql, repr(params)) in seen_before:
                    continue
                seen_before.add((sql, repr(params)))
                assert "OFFSET" not in sql or f"LIMIT 1 OFFSET {WINDOW}" in sql, (name, place, sql)
                assert "COUNT(" not in sql or "LIMIT" in sql, (name, place, sql)
                if connection.vendor == "sqlite":
                    assert scans(sql, params) == [], (name, place, sql)
                else:
                    read = rows_read([(sql, params)])
                    # Sorting a few newer ones may be cheaper than another index.
                    assert read <= 2 * WINDOW + PAGE, (name, place, read, sql)

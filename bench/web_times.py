"""How long the server takes for each look at the list of jobs; run by `bench.web_jobs` on one database.

`python -m bench.web_times COUNT` fills the database of the settings with so many jobs, asks for each address
through all of Django several times, and prints for each, as JSON, two figures in milliseconds: the time that
passed (median), and the processor's time in this process and the database's (mean), which does not depend on
what else runs on the machine.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from typing import Any

import psutil

ROUNDS = 15
WARM_UP = 3
FILES = "django.contrib.staticfiles.storage.StaticFilesStorage"


def main(count: int) -> None:
    """Print a JSON object: address's name to the two figures. A database with jobs is taken as it is."""
    import django

    django.setup()
    from django.conf import settings
    from django.contrib.auth.models import User
    from django.test import Client
    from django.test.utils import override_settings

    from bench import many_jobs
    from jobs.models import ContainerJob

    if not ContainerJob.objects.exists():
        many_jobs.fill(count)
    client = Client(SERVER_NAME="localhost")
    client.force_login(User.objects.get_or_create(username="bench", is_staff=True, is_superuser=True)[0])
    # What `collectstatic` makes of the names of files is no part of what is measured.
    with override_settings(STORAGES={**settings.STORAGES, "staticfiles": {"BACKEND": FILES}}):
        print(json.dumps({name: _milliseconds(client, url) for name, url in _addresses(count).items()}))


def _milliseconds(client: Any, url: str) -> tuple[float, float]:
    times = []
    for number in range(WARM_UP + ROUNDS):
        if number == WARM_UP:
            used = _processor_seconds()
        began = time.perf_counter()
        response = client.get(url, secure=True)
        times.append(time.perf_counter() - began)
        assert response.status_code == 200, (url, response.status_code)
    mean = (_processor_seconds() - used) / ROUNDS
    return round(statistics.median(times[WARM_UP:]) * 1000, 2), round(mean * 1000, 2)


def _processor_seconds() -> float:
    """What this process and its session with the database have used."""
    from django.db import connection

    used = time.process_time()
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            spent = psutil.Process(cursor.fetchone()[0]).cpu_times()
        used += spent.user + spent.system
    return used


def _addresses(count: int) -> dict[str, str]:
    from admin_ui.pages.jobs.keyset import Key
    from jobs.models import ContainerJob
    from jobs.states import JobStatus

    newest = ContainerJob.objects.order_by("-created_at", "-id")
    middle, top = str(Key.of(newest[count // 2])), str(Key.of(newest[0]))
    tabs = {f"tab {status or 'all'}": f"?status={status}" for status in ("", *JobStatus.values)}
    filters = {
        "template": "?template=template-7",
        "template, rare": "?template=rare-template",
        "template, failed": "?template=template-3&status=failed",
        "template, rare, failed": "?template=rare-template&status=failed",
        "host": "?host=host-7",
        "host, rare": "?host=rare-host",
        "host, failed": "?host=host-3&status=failed",
        "created within 7 days": "?within=7d",
        "created within 7 days, failed": "?within=7d&status=failed",
        "ran longer than 4 min": "?longer=4m",
        "ran longer than 1 h (none)": "?longer=1h",
        "exit code 137": "?exit=137",
        "exit code 99 (none)": "?exit=99",
        "limit key": "?key=db",
        "text": "?q=report+7",
        "text (none)": "?q=nowhere",
        "job id": f"?q={newest[count // 3].pk}",
    }
    places = {
        "page in the middle, older": f"?after={middle}",
        "page in the middle, newer": f"?before={middle}",
        "failed, page in the middle": f"?status=failed&after={middle}",
    }
    pages = {name: f"/admin/jobs/{query}" for name, query in {**tabs, **places, **filters}.items()}
    return {**pages, "live part": f"/admin/parts/jobs/?top={top}"}


if __name__ == "__main__":
    main(int(sys.argv[1]))

"""How long the server takes for each look at the list of jobs; run by `bench.web_jobs` on one database.

`python -m bench.web_times COUNT` fills the database of the settings with so many jobs, asks for each address
through all of Django several times, and prints the milliseconds of each as JSON.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from typing import Any

ROUNDS = 15
WARM_UP = 3
FILES = "django.contrib.staticfiles.storage.StaticFilesStorage"


def main(count: int) -> None:
    """Print a JSON object: address's name to milliseconds."""
    import django

    django.setup()
    from django.conf import settings
    from django.contrib.auth.models import User
    from django.test import Client
    from django.test.utils import override_settings

    from bench import many_jobs

    many_jobs.fill(count)
    client = Client(SERVER_NAME="localhost")
    client.force_login(User.objects.create_superuser("bench"))
    # What `collectstatic` makes of the names of files is no part of what is measured.
    with override_settings(STORAGES={**settings.STORAGES, "staticfiles": {"BACKEND": FILES}}):
        print(json.dumps({name: _milliseconds(client, url) for name, url in _addresses(count).items()}))


def _milliseconds(client: Any, url: str) -> float:
    times = []
    for number in range(WARM_UP + ROUNDS):
        began = time.perf_counter()
        response = client.get(url, secure=True)
        spent = time.perf_counter() - began
        assert response.status_code == 200, (url, response.status_code)
        if number >= WARM_UP:
            times.append(spent)
    return round(statistics.median(times) * 1000, 2)


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

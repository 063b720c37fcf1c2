"""The jobs that run, and those that failed last."""

from __future__ import annotations

import re
from typing import Any

from django.db import connection
from django.db.models import QuerySet
from django.db.models.expressions import RawSQL
from django.db.models.functions import Right

from admin_ui import presenters
from jobs.models import Attempt, ContainerJob

MOST_SHOWN = 8
_END_LENGTH = 500
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_MOST_SHOWN_OF_A_LINE = 200


def running() -> QuerySet[Attempt]:
    """The newest open attempts, each with its job and template. One query."""
    found = Attempt.objects.open().select_related("job", "job__template")
    fields = ("job__id", "job__name", "job__template__name")
    own = (
        "id",
        "state",
        "number",
        "host_id",
        "host_name",
        "claimed_at",
        "started_at",
        "deadline_at",
        "phase",
    )
    return found.only(*own, *fields).order_by("-claimed_at")[:MOST_SHOWN]


def failures() -> list[dict[str, Any]]:
    """The jobs that failed last, each with what it said last. One query."""
    newest = RawSQL(_newest_failures(connection.vendor), [])
    failed = ContainerJob.objects.filter(pk__in=newest)
    ends = {"err": Right("execution__stderr", _END_LENGTH), "out": Right("execution__stdout", _END_LENGTH)}
    columns = ("id", "name", "template__name", "status", "exit_code", "failure_message", "completed_at")
    rows = failed.order_by("-completed_at").values(*columns, **ends)
    return [{**row, "said": last_line(row["err"]) or last_line(row["out"])} for row in rows]


def _newest_failures(vendor: str) -> str:
    # Left to itself, SQLite sorts all that failed; with parameters it would not see that the index has them.
    indexed = "INDEXED BY job_newest_failures" if vendor == "sqlite" else ""
    return (
        f"SELECT id FROM jobs_containerjob {indexed} WHERE status IN ('failed', 'timeout') "
        f"ORDER BY completed_at DESC LIMIT {MOST_SHOWN}"
    )


def last_line(text: str | None) -> str:
    """The last line that says anything, without what would steer a terminal; of a long one, its end."""
    plain = _ESCAPES.sub("", text or "")
    lines = [line.strip() for line in re.split(r"[\r\n]+", plain)]
    said = next((line for line in reversed(lines) if line), "")
    shown = presenters.printable(said)
    cut = len(shown) > _MOST_SHOWN_OF_A_LINE
    return f"\N{HORIZONTAL ELLIPSIS}{shown[-_MOST_SHOWN_OF_A_LINE:]}" if cut else shown

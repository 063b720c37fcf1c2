"""The filtered jobs as a file, CSV or JSON: written while it is read, a batch of jobs in memory at a time."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _

from admin_ui import streaming
from admin_ui.pages import base
from admin_ui.pages.jobs import rows
from admin_ui.pages.jobs.filters import Filters
from admin_ui.pages.jobs.rows import Row
from admin_ui.pages.jobs.search import Search
from admin_ui.pages.jobs.wanted import Wanted

BATCH = 500
# Spreadsheets take a cell that begins so for a formula, and may run it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")

# Neither environments nor commands: values in them may be secrets.
_FIELDS: dict[str, Callable[[Row], Any]] = {
    "id": lambda row: str(row.job.pk),
    "name": lambda row: row.job.name,
    "template": lambda row: row.job.template.name,
    "status": lambda row: row.job.status,
    "host": lambda row: row.host,
    "exit_code": lambda row: row.job.exit_code,
    "attempts": lambda row: row.job.attempt_count,
    "created_at": lambda row: _moment(row.job.created_at),
    "started_at": lambda row: _moment(row.job.started_at),
    "completed_at": lambda row: _moment(row.job.completed_at),
    "waited_seconds": lambda row: row.waited,
    "duration_seconds": lambda row: row.lasted,
    "priority": lambda row: row.job.priority,
    "limit_key": lambda row: row.job.limit_key,
    "image": lambda row: row.job.override_image,
    "submitted_by": lambda row: row.by,
    "failure_class": lambda row: row.job.failure_class,
    "failure_message": lambda row: row.job.failure_message,
    "failure_hint": lambda row: row.job.failure_hint,
    "pending_reason": lambda row: row.job.pending_reason,
}


@base.needs("jobs.view_containerjob")
def export(request: HttpRequest, kind: str) -> HttpResponseBase:
    """The list's filters say which jobs; `kind` is csv or json."""
    wanted = Filters(request.GET).read()
    if wanted is None:
        return HttpResponse(_("The filters cannot be understood."), status=400, content_type="text/plain")
    name = f"jobs-{datetime.now(UTC):%Y%m%d-%H%M%S}.{kind}"
    return streaming.download(request, _WRITERS[kind](wanted), name)


def _batches(wanted: Wanted) -> Iterator[list[dict[str, Any]]]:
    for jobs in Search(wanted, rows.jobs()).batches(BATCH):
        yield [{name: read(row) for name, read in _FIELDS.items()} for row in rows.rows(jobs)]


def _csv(wanted: Wanted) -> Iterator[bytes]:
    yield _lines([list(_FIELDS)])
    for batch in _batches(wanted):
        yield _lines([[cell(value) for value in row.values()] for row in batch])


def _lines(table: list[list[Any]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(table)
    return text.getvalue().encode()


def cell(value: Any) -> Any:
    """A value for CSV; a text that a spreadsheet would take for a formula gets an apostrophe before it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _json(wanted: Wanted) -> Iterator[bytes]:
    """One array, a job a line; it is closed only once all are there."""
    comma = b"["
    for batch in _batches(wanted):
        lines = [json.dumps(row, ensure_ascii=False).encode() for row in batch]
        yield comma + b"\n" + b",\n".join(lines)
        comma = b","
    yield b"[]\n" if comma == b"[" else b"\n]\n"


_WRITERS = {"csv": _csv, "json": _json}


def _moment(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat() if at else None

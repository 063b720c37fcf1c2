"""The audit: its page, and the same rows as a file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from admin_ui import streaming
from admin_ui.pages import base
from admin_ui.pages.audit import rows
from admin_ui.pages.audit.filters import Filters
from admin_ui.pages.jobs.export import cell
from audit import search
from audit.models import AuditEvent
from audit.search import Wanted

VIEW = "audit.view_auditevent"
PAGE = 50
_FIELDS = (
    *("seq", "at", "actor", "user_key", "door", "address", "machine", "verb", "object_kind", "object_key"),
    *("object_label", "outcome", "act_id", "details", "prev_hash", "hash"),
)


@base.needs(VIEW)
def page(request: HttpRequest) -> HttpResponseBase:
    """The newest rows that the filters find; `?after=` and `?before=` a row: the pages beside."""
    filters = Filters(request.GET.dict())
    wanted = filters.read()
    after, before = _number(request, "after"), _number(request, "before")
    found = search.page(wanted, PAGE, after=after, before=before) if wanted else None
    context = {
        "filters": filters,
        "query": filters.query(),
        "rows": rows.rows(found.rows, request.user) if found else [],
        "page": found,
        "verbs": search.verbs(),
    }
    title = gettext_lazy("Audit")
    return base.render(request, "admin_ui/audit/list.html", context, title=title, section="audit")


def _number(request: HttpRequest, name: str) -> int | None:
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < len(str(2**63)) else None


@base.needs(VIEW)
def export(request: HttpRequest, kind: str) -> HttpResponseBase:
    """The filters say which rows; `kind` is csv or json. Written while it is read."""
    wanted = Filters(request.GET.dict()).read()
    if wanted is None:
        return HttpResponse(_("The filters cannot be understood."), status=400, content_type="text/plain")
    name = f"audit-{datetime.now(UTC):%Y%m%d-%H%M%S}.{kind}"
    return streaming.download(request, _WRITERS[kind](wanted), name)


def record(event: AuditEvent) -> dict[str, Any]:
    """A row as the files and `audit list --json` have it."""
    found = {name: getattr(event, name) for name in _FIELDS}
    return {
        **found,
        "at": event.at.astimezone(UTC).isoformat(),
        "act_id": str(event.act_id),
        "details": event.said,
    }


def _csv(wanted: Wanted) -> Iterator[bytes]:
    yield _lines([list(_FIELDS)])
    for batch in search.batches(wanted):
        yield _lines([[cell(value) for value in _flat(event).values()] for event in batch])


def _flat(event: AuditEvent) -> dict[str, Any]:
    return {**record(event), "details": event.details}


def _lines(table: list[list[Any]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(table)
    return text.getvalue().encode()


def _json(wanted: Wanted) -> Iterator[bytes]:
    """One array, a row a line; it is closed only once all are there."""
    comma = b"["
    for batch in search.batches(wanted):
        yield comma + b"\n" + b",\n".join(json.dumps(record(event)).encode() for event in batch)
        comma = b","
    yield b"[]\n" if comma == b"[" else b"\n]\n"


_WRITERS = {"csv": _csv, "json": _json}

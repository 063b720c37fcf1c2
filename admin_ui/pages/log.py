"""A job's log: its page, the part that other pages include, and what its script asks for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponseRedirect, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _

from admin_ui import logs, waiting
from admin_ui.live_logs import rows, search
from admin_ui.live_logs.search import BadSearch, Search
from admin_ui.pages import base
from admin_ui.streaming import download as as_file
from hosts.errors import ConfigurationError
from hosts.executors import registry
from hosts.models import DockerHost
from jobs import log_watch
from jobs.log_lines import Lines
from jobs.log_text import strip_ansi
from jobs.models import Attempt, ContainerJob
from jobs.states import AttemptState
from supervisor.processes import is_supervised

PERMISSION = "jobs.view_containerjob"
MOST_LINES = 1000
_MOST_SINGLE = 100
_LONG_BYTES = 1024 * 1024
_PIECE_LINES = 1000
# Without its secrets, which no log shows.
_JOBS = ContainerJob.objects.select_related("template").defer("secret_environment")


@base.needs(PERMISSION)
def page(request: HttpRequest, job_id: UUID) -> HttpResponseBase:
    """`?stream=all|stdout|stderr|docker`, `?attempt=N` (the newest if left out), `#L12` for a line."""
    job = get_object_or_404(_JOBS, pk=job_id)
    attempt = attempt_of(job, request.GET.get("attempt", ""))
    context = {**viewer_context(request, job, attempt), **_head(job, attempt), "is_page": True}
    title = _("Log of %(job)s") % {"job": job}
    return base.render(request, "admin_ui/log.html", context, title=title, section="jobs")


@base.needs(PERMISSION)
def head(request: HttpRequest, job_id: UUID) -> HttpResponseBase:
    """The page's live part: how the job is, and whether a newer attempt than the one shown has begun."""
    job = get_object_or_404(_JOBS, pk=job_id)
    attempt = attempt_of(job, request.GET.get("attempt", ""))
    return base.part(request, "admin_ui/_log_head.html", _head(job, attempt))


def _head(job: ContainerJob, attempt: Attempt | None) -> dict[str, Any]:
    number = attempt.number if attempt else None
    url = reverse("admin:part_log_head", args=[job.pk]) + (f"?attempt={number}" if number else "")
    # The attempts are counted in the job's row.
    newest = job.attempt_count if number else 0
    return {"job": job, "log_attempt": attempt, "newest": newest, "head_url": url}


def viewer_context(request: HttpRequest, job: ContainerJob, attempt: Attempt | None) -> dict[str, Any]:
    """What `admin_ui/_log_viewer.html` needs, in a page with `_log_assets.html` in its block `scripts`.

    Include it outside of live parts: its script draws it, and would be drawn over. Four queries.
    """
    numbers = list(job.attempts.order_by("number").values_list("number", flat=True))
    reason = "" if attempt else waiting.pending_reason(job, supervised=is_supervised())
    return {
        "log_job": job,
        "log_attempt": attempt,
        "log_numbers": numbers,
        "log_stream": _stream(request),
        "log_streams": [(name, label) for name, label in _labels().items()],
        "log_waits": reason,
        "log_silence": _silence(attempt),
        "log_socket": f"/ws/jobs/{job.pk}/log/",
    }


def _silence(attempt: Attempt | None) -> str:
    """Why nothing is seen of what a job writes that has not ended; empty if its executor tells it."""
    if attempt is None or attempt.state == AttemptState.ENDED:
        return ""
    kind = DockerHost.objects.values_list("executor_type", flat=True).get(pk=attempt.host_id)
    try:
        can = registry.capabilities(kind)
    except ConfigurationError:  # where its worker runs it may be known
        return ""
    says = {"executor": registry.label(kind)}
    if not can.logs:
        return _("%(executor)s does not tell what a job writes.") % says
    return "" if can.live_logs else _("%(executor)s tells what a job wrote once it has ended.") % says


def _labels() -> dict[str, str]:
    return {"all": _("All"), "stdout": "stdout", "stderr": "stderr", "docker": _("Engine")}


@base.needs(PERMISSION)
def lines(request: HttpRequest, job_id: UUID) -> HttpResponseBase:
    """A page of lines as JSON.

    `from_line`, `before` (the last ones before it), `around` or `numbers=1,7`; without any, the last page.
    `count` lines at most, 200 if left out. `about=1`: with what there is to know beside the lines. `long=1`:
    with up to 1 MiB of a line. `follow=1`: somebody waits for more, so that it should be stored at once.
    """
    attempt = attempt_of(get_object_or_404(ContainerJob, pk=job_id), request.GET.get("attempt", ""))
    stream = _stream(request)
    if attempt is None:
        return _json({"attempt": None})
    if request.GET.get("follow"):
        log_watch.mark([attempt.pk])
    answer = _page_of_events(request, attempt) if stream == "docker" else _page(request, attempt, stream)
    answer |= {
        "attempt": attempt.number,
        "stream": stream,
        "final": rows.is_final(attempt),
        "state": attempt.state,
        "outcome": attempt.outcome,
        "exit_code": attempt.exit_code,
        "gap_bytes": attempt.log_gap_bytes,
    }
    if request.GET.get("about"):
        answer |= rows.about(attempt, stream)
    return _json(answer)


def _page(request: HttpRequest, attempt: Attempt, stream: str) -> dict[str, Any]:
    total = rows.count(attempt, stream)
    keep = {"keep": _LONG_BYTES} if request.GET.get("long") else {}
    log = Lines(attempt.pk, stream, **keep)
    if attempt.logs_deleted_at:
        return {"total": 0, "rows": [], "rest": []}
    if "numbers" in request.GET:
        numbers = _numbers(request.GET["numbers"])
        return {"total": total, "rows": rows.rows(log.of_numbers(numbers)), "rest": []}
    first, count = _window(request, total)
    found = log.page(first, count)
    # A chunk may have been stored since the attempt was read.
    known = [line for line in found.lines if line.number < total]
    rest = found.rest if len(known) == len(found.lines) else []
    return {"total": total, "rows": rows.rows(known), "rest": rows.rows(rest)}


def _page_of_events(request: HttpRequest, attempt: Attempt) -> dict[str, Any]:
    found = rows.event_rows(attempt)
    first, count = _window(request, len(found))
    return {"total": len(found), "rows": found[first : first + count], "rest": []}


def _window(request: HttpRequest, total: int) -> tuple[int, int]:
    count = max(1, min(_number(request, "count", 200), MOST_LINES))
    if "from_line" in request.GET:
        return _number(request, "from_line"), count
    if "around" in request.GET:
        return max(0, _number(request, "around") - count // 2), count
    end = min(total, _number(request, "before", total))
    first = max(0, end - count)
    return first, max(1, end - first)


@base.needs(PERMISSION)
def find(request: HttpRequest, job_id: UUID) -> HttpResponseBase:
    """A part of a search as JSON: `hits`, and `next`, to be asked for as `from_line`; null at the end.

    `q`, `regex=1`, `case=1`, `inverse=1`: see `Search`.
    """
    attempt = _attempt_with_log(job_id, request)
    stream, first = _stream(request), _number(request, "from_line")
    try:
        wanted = Search.of(request.GET.dict())
        if stream == "docker":
            matches = wanted.matcher()
            hits = [row[0] for row in rows.event_rows(attempt) if row[0] >= first and matches(row[3])]
            return _json({"hits": hits, "next": None, "total": len(rows.event_rows(attempt))})
        total = rows.count(attempt, stream)
        found = search.step(
            Lines(attempt.pk, stream, keep=search.KEPT_BYTES), wanted, first=first, total=total
        )
    except BadSearch as exc:
        return _json({"error": str(exc)}, status=400)
    return _json({"hits": found.hits, "next": found.next, "total": total})


@base.needs(PERMISSION)
def download(request: HttpRequest, job_id: UUID) -> HttpResponseBase:
    """The whole log as a file: `form=raw`, `plain` (without escapes) or `filtered` (by a search, plain)."""
    attempt = _attempt_with_log(job_id, request)
    stream, form = _stream(request), request.GET.get("form", "raw")
    if attempt.logs_deleted_at and stream != "docker":
        raise Http404(attempt.logs_note)
    if form not in ("raw", "plain", "filtered"):
        raise Http404(f"There is no form {form!r}.")
    name = f"{job_id}-{attempt.number}-{stream}{'' if form == 'raw' else '-' + form}.log"
    try:
        pieces = _pieces(request, attempt, stream, form)
    except BadSearch as exc:
        return _json({"error": str(exc)}, status=400)
    return as_file(request, pieces, name)


def _pieces(request: HttpRequest, attempt: Attempt, stream: str, form: str) -> Iterator[bytes]:
    wanted = Search.of(request.GET.dict()) if form == "filtered" else None
    if stream == "docker":
        matches = wanted.matcher() if wanted else lambda _text: True
        found = [one for one in rows.events(attempt) if matches(one.text)]
        return (f"{one.at.isoformat() + ' ' if one.at else ''}{one.text}\n".encode() for one in found)
    if wanted:
        log = Lines(attempt.pk, stream, keep=search.KEPT_BYTES)
        return _plain_lines(search.matching(log, wanted, total=rows.count(attempt, stream)))
    raw = logs.raw(attempt, stream)
    return raw if form == "raw" else logs.plain(raw)


def _plain_lines(found: Iterator[Any]) -> Iterator[bytes]:
    block: list[bytes] = []
    for line in found:
        block.append(strip_ansi(line.data.decode(errors="surrogateescape")).encode(errors="surrogateescape"))
        if len(block) == _PIECE_LINES:
            yield b"\n".join([*block, b""])
            block = []
    yield b"\n".join([*block, b""]) if block else b""


def old_address(request: HttpRequest, job_id: UUID) -> HttpResponseBase:
    """Where the log was before it had a page of its own."""
    query = request.GET.copy()
    raw = query.pop("raw", None)
    name = "admin:job_log_download" if raw else "admin:job_log"
    return HttpResponseRedirect(reverse(name, args=[job_id]) + (f"?{query.urlencode()}" if query else ""))


def attempt_of(job: ContainerJob, number: str) -> Attempt | None:
    """The attempt of this number, the newest for ""; None if the job has none yet. 404 for any other."""
    if not number:
        return job.attempts.order_by("-number").first()
    if not _is_number(number):
        raise Http404("An attempt has a number.")
    return get_object_or_404(job.attempts, number=int(number))


def _attempt_with_log(job_id: UUID, request: HttpRequest) -> Attempt:
    attempt = attempt_of(get_object_or_404(ContainerJob, pk=job_id), request.GET.get("attempt", ""))
    if attempt is None:
        raise Http404("This job has not been started yet.")
    return attempt


def _stream(request: HttpRequest) -> str:
    stream = request.GET.get("stream", "all")
    if stream not in rows.STREAMS:
        raise Http404(f"There is no stream {stream!r}.")
    return stream


def _number(request: HttpRequest, name: str, otherwise: int = 0) -> int:
    text = request.GET.get(name, "")
    if text and not _is_number(text):
        raise Http404(f"{name} is a number.")
    return int(text) if text else otherwise


def _numbers(text: str) -> list[int]:
    parts = text.split(",")[:_MOST_SINGLE]
    if not all(map(_is_number, parts)):
        raise Http404("Lines have numbers.")
    return [int(part) for part in parts]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9  # noqa: PLR2004 - what a column of it takes


def _json(answer: dict[str, Any], *, status: int = 200) -> JsonResponse:
    return JsonResponse(answer, status=status, headers={"Cache-Control": "no-store"})

"""The page of a job's log, and its download."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse

from admin_ui import logs
from admin_ui.streaming import download
from jobs.models import Attempt, ContainerJob

SHOWN_BYTES = 1024 * 1024


def log_view(model_admin: admin.ModelAdmin[Any], request: HttpRequest, job_id: UUID) -> HttpResponseBase:
    """`?stream=stdout|stderr|all`, `?attempt=N` (the newest if left out), `?raw=1` for the bytes."""
    job = get_object_or_404(ContainerJob.objects.select_related("template"), pk=job_id)
    if not model_admin.has_view_permission(request, job):
        raise PermissionDenied
    stream = request.GET.get("stream", "all")
    if stream not in logs.STREAMS:
        raise Http404(f"There is no stream {stream!r}.")
    attempt = _attempt(job, request.GET.get("attempt", ""))
    if request.GET.get("raw"):
        if attempt and attempt.logs_deleted_at and attempt.logs_note:
            raise Http404(attempt.logs_note)
        return _raw(request, job, attempt, stream)
    stored = attempt is not None and attempt.logs_deleted_at is None
    tail = logs.tail(attempt, stream, limit=SHOWN_BYTES) if attempt and stored else logs.Tail([], 0)
    context = {
        **model_admin.admin_site.each_context(request),
        "title": "Log",
        "job": job,
        "attempt": attempt,
        "numbers": list(job.attempts.order_by("number").values_list("number", flat=True)),
        "stream": stream,
        "streams": list(logs.STREAMS),
        "tail": tail,
    }
    return TemplateResponse(request, "admin_ui/log.html", context)


def _attempt(job: ContainerJob, number: str) -> Attempt | None:
    """The attempt asked for; None if the job has none yet."""
    attempts = job.attempts.defer("spec")
    if not number:
        return attempts.order_by("-number").first()
    if not number.isascii() or not number.isdigit():
        raise Http404("An attempt has a number.")
    return get_object_or_404(attempts, number=int(number))


def _raw(
    request: HttpRequest, job: ContainerJob, attempt: Attempt | None, stream: str
) -> StreamingHttpResponse:
    pieces = logs.raw(attempt, stream) if attempt else iter(())
    number = attempt.number if attempt else 0
    return download(request, pieces, f"{job.pk}-{number}-{stream}.log")

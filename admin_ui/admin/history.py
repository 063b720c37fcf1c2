"""What jobs left behind: attempts, logs, measures, timelines, counts. All of it read-only."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.db import models
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html

from admin_ui import presenters
from admin_ui.admin.bases import Badges, ModelAdmin, OfHost, ReadOnly
from admin_ui.admin.columns import badge, job_link, log_link, measured
from jobs import usage
from jobs.measures import FIGURES
from jobs.models import (
    Attempt,
    ContainerExecution,
    HourTally,
    JobEvent,
    LeftContainer,
    LogChunk,
    Tally,
    TallySum,
    UsageSample,
)
from jobs.states import Outcome


def state_badge(attempt: Attempt) -> str:
    """The outcome of an attempt that has ended, else its state."""
    if attempt.outcome:
        return badge(attempt.outcome, Outcome(attempt.outcome).label)
    return badge(attempt.state, attempt.get_state_display())


@admin.register(Attempt)
class AttemptAdmin(Badges, ReadOnly, ModelAdmin[Attempt]):
    list_display = ("id", "job_page", "number", "host_name", "how", "exit_code", "claimed_at", "took", "log")
    list_filter = ("state", "outcome")
    search_fields = ("container_id", "container_name", "host_name")
    show_full_result_count = False
    exclude = ("spec", "job", "host", "state", "outcome", "measured")
    readonly_fields = ("job_page", "how", "what_it_runs", "used", "log")

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Attempt]:
        return super().get_queryset(request).select_related("job").defer("job__secret_environment")

    @admin.display(description="job")
    def job_page(self, attempt: Attempt) -> str:
        return job_link(attempt.job_id, str(attempt.job))

    @admin.display(description="state")
    def how(self, attempt: Attempt) -> str:
        return state_badge(attempt)

    @admin.display
    def took(self, attempt: Attempt) -> str:
        ended_at = attempt.finished_at or attempt.ended_at
        return presenters.duration(presenters.duration_seconds(attempt.started_at, ended_at, timezone.now()))

    @admin.display
    def log(self, attempt: Attempt) -> str:
        return log_link(attempt.job_id, attempt.number, "log")

    @admin.display
    def used(self, attempt: Attempt) -> str:
        return measured(usage.figures(attempt))

    @admin.display
    def what_it_runs(self, attempt: Attempt) -> str:
        return format_html("<pre>{}</pre>", json.dumps(without_values(attempt.spec), indent=2))


def without_values(spec: dict[str, Any]) -> dict[str, Any]:
    """A frozen spec with the names of its variables only: values may be secrets in all but name."""
    return {**spec, "environment": sorted(spec.get("environment", {}))}


@admin.register(ContainerExecution)
class ExecutionAdmin(ReadOnly, ModelAdmin[ContainerExecution]):
    list_display = ("job_page", "attempt_number", "peak_memory", "cpu_time", "updated_at")
    show_full_result_count = False
    exclude = ("job", *FIGURES)
    readonly_fields = ("job_page", "used")

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[ContainerExecution]:
        return super().get_queryset(request).select_related("job").defer("job__secret_environment")

    @admin.display(description="job")
    def job_page(self, execution: ContainerExecution) -> str:
        return job_link(execution.job_id, str(execution.job))

    @admin.display
    def peak_memory(self, execution: ContainerExecution) -> str:
        return presenters.size(execution.peak_memory_bytes) or presenters.NOT_MEASURED

    @admin.display(description="CPU time")
    def cpu_time(self, execution: ContainerExecution) -> str:
        return presenters.duration(execution.cpu_seconds) or presenters.NOT_MEASURED

    @admin.display
    def used(self, execution: ContainerExecution) -> str:
        return measured(vars(execution))


@admin.register(LogChunk)
class LogChunkAdmin(ReadOnly, ModelAdmin[LogChunk]):
    list_display = ("attempt_name", "seq", "raw_bytes", "first_at", "last_at", "log")
    show_full_result_count = False
    exclude = ("attempt",)
    readonly_fields = ("attempt_name", "log")

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[LogChunk]:
        return super().get_queryset(request).select_related("attempt").defer("data", "attempt__spec")

    @admin.display(description="attempt")
    def attempt_name(self, chunk: LogChunk) -> str:
        return str(chunk.attempt)

    @admin.display
    def log(self, chunk: LogChunk) -> str:
        return log_link(chunk.attempt.job_id, chunk.attempt.number, "log")


@admin.register(UsageSample)
class UsageSampleAdmin(ReadOnly, ModelAdmin[UsageSample]):
    list_display = ("attempt", "at", "memory", "cpu_seconds", "pids")
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[UsageSample]:
        return super().get_queryset(request).select_related("attempt").defer("attempt__spec")

    @admin.display
    def memory(self, sample: UsageSample) -> str:
        return presenters.size(sample.memory_bytes) or presenters.NOT_MEASURED


@admin.register(JobEvent)
class JobEventAdmin(ReadOnly, ModelAdmin[JobEvent]):
    list_display = ("at", "job_page", "attempt_number", "kind", "message", "who")
    search_fields = ("message", "who")
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[JobEvent]:
        return super().get_queryset(request).select_related("job").defer("job__secret_environment")

    @admin.display(description="job")
    def job_page(self, event: JobEvent) -> str:
        return job_link(event.job_id, str(event.job))


@admin.register(Tally)
class TallyAdmin(ReadOnly, ModelAdmin[Tally]):
    list_display = ("minute", "host_name", "template_name", "outcome", "count", "seconds", "log_bytes")
    list_filter = ("outcome",)
    search_fields = ("host_name", "template_name")
    show_full_result_count = False


@admin.register(HourTally)
class HourTallyAdmin(ReadOnly, ModelAdmin[HourTally]):
    list_display = ("hour", "template_name", "outcome", "count", "seconds", "log_bytes")
    list_filter = ("outcome",)
    search_fields = ("template_name",)
    ordering = ("-hour",)
    show_full_result_count = False


@admin.register(TallySum)
class TallySumAdmin(ReadOnly, ModelAdmin[TallySum]):
    list_display = ("host_name", "template_name", "outcome", "count", "seconds", "log_bytes")
    list_filter = ("outcome",)
    search_fields = ("host_name", "template_name")
    show_full_result_count = False


@admin.register(LeftContainer)
class LeftContainerAdmin(OfHost, ReadOnly, ModelAdmin[LeftContainer]):
    list_display = ("at", "host", "job_id")
    list_select_related = ("host",)
    show_full_result_count = False

"""Jobs: submitted and acted upon here, never edited."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.db import models
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import mark_safe

from admin_ui import limits, presenters, waiting
from admin_ui.admin import history
from admin_ui.admin.bases import (
    Badges,
    BoundedPaginator,
    Choices,
    ModelAdmin,
    NewestRows,
    ReadOnly,
    StackedInline,
    TabularInline,
)
from admin_ui.admin.columns import NOTHING, badge, job_link, log_link, measured, short
from admin_ui.admin.job_actions import JobActions
from admin_ui.pages.log import old_address
from hosts.errors import ConfigurationError
from hosts.models import DockerHost
from jobs import operations, spec
from jobs.models import Attempt, ContainerExecution, ContainerJob, JobEvent
from jobs.operations import Refused
from jobs.states import ENDED_STATUSES, JobStatus
from supervisor.processes import is_supervised

OVERRIDES = ("override_max_attempts", "override_retry_on", "override_start_deadline_seconds")


class AttemptInline(ReadOnly, TabularInline[Attempt, ContainerJob]):
    model = Attempt
    formset = NewestRows
    fields = ("number", "host_name", "how", "exit_code", "started_at", "ended_at", "container", "note", "log")
    readonly_fields = ("how", "container", "note", "log")
    show_change_link = True

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Attempt]:
        return super().get_queryset(request).defer("spec")

    @admin.display(description="state")
    def how(self, attempt: Attempt) -> str:
        return history.state_badge(attempt)

    @admin.display
    def container(self, attempt: Attempt) -> str:
        return short(attempt.container_id)

    @admin.display
    def note(self, attempt: Attempt) -> str:
        failure = f"{attempt.failure_message} {attempt.failure_hint}".strip()
        phase = "" if attempt.outcome else attempt.phase
        words = limits.note(phase=phase, worker_kills=attempt.worker_kills, failure=failure)
        return words or NOTHING

    @admin.display
    def log(self, attempt: Attempt) -> str:
        return log_link(attempt.job_id, attempt.number, "log")


class EventInline(ReadOnly, TabularInline[JobEvent, ContainerJob]):
    model = JobEvent
    formset = NewestRows
    fields = ("at", "attempt_number", "kind", "message", "who")
    ordering = ("-at", "-id")
    verbose_name_plural = "timeline, newest first"


class ExecutionInline(ReadOnly, StackedInline[ContainerExecution, ContainerJob]):
    model = ContainerExecution
    verbose_name_plural = "what it wrote and used"
    fields = (
        "attempt_number",
        "stdout",
        "stderr",
        "docker_log",
        "used",
    )
    readonly_fields = ("used",)

    @admin.display
    def used(self, execution: ContainerExecution) -> str:
        return measured(vars(execution))


class HostFilter(admin.RelatedFieldListFilter):
    """The hosts by name: nothing else of them is read, their secrets least of all."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> Any:
        return list(DockerHost.objects.order_by("name").values_list("pk", "name"))


@admin.register(ContainerJob)
class JobAdmin(JobActions, Badges, Choices, ModelAdmin[ContainerJob]):
    list_display = (
        "__str__",
        "status_badge",
        "template",
        "host",
        "exit_code",
        "attempt_count",
        "created_at",
        "took",
        "log",
    )
    list_filter = ("status", ("docker_host", HostFilter))
    list_select_related = ("template",)
    search_fields = ("name", "template__name")
    show_full_result_count = False
    paginator = BoundedPaginator
    autocomplete_fields = ("template", "docker_host")
    inlines = (AttemptInline, ExecutionInline, EventInline)
    actions = ("start", "stop", "restart", "cancel", "retry")
    fields_to_add = (
        "template",
        "docker_host",
        "name",
        "override_image",
        "override_command",
        "override_environment",
        *OVERRIDES,
        "priority",
        "limit_key",
    )
    fieldsets_to_view = (
        (None, {"fields": ("id", "name", "template", "status_badge", "why", "waits", "log")}),
        (
            "Where and when",
            {"fields": ("host", "docker_host", "created_at", "started_at", "completed_at", "took")},
        ),
        ("What", {"fields": ("override_image", "override_command", "environment", "priority", "limit_key")}),
        ("Limits and retries", {"fields": (*OVERRIDES, "bounds")}),
        (
            "History",
            {"fields": ("exit_code", "attempt_count", "executor_metadata", "restart_of", "created_by")},
        ),
    )
    readonly_fields = (
        "id",
        "status_badge",
        "why",
        "waits",
        "log",
        "host",
        "took",
        "environment",
        "restart_of",
        "bounds",
    )

    # --- What is shown ---

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[ContainerJob]:
        newest = Attempt.objects.filter(job=models.OuterRef("pk"), number=models.OuterRef("attempt_count"))
        host = Coalesce(models.Subquery(newest.values("host_name")[:1]), "docker_host__name")
        phase = models.Subquery(newest.values("phase")[:1])
        jobs = super().get_queryset(request).select_related("template", "docker_host")
        jobs = jobs.defer("secret_environment", "docker_host__secret_config")
        return jobs.annotate(host_now=host, phase_now=phase)

    def get_fieldsets(self, request: HttpRequest, obj: ContainerJob | None = None) -> Any:
        return [(None, {"fields": self.fields_to_add})] if obj is None else self.fieldsets_to_view

    def get_inlines(self, request: HttpRequest, obj: ContainerJob | None) -> Any:
        return self.inlines if obj else ()

    def get_search_results(
        self, request: HttpRequest, queryset: models.QuerySet[ContainerJob], search_term: str
    ) -> tuple[models.QuerySet[ContainerJob], bool]:
        try:
            return queryset.filter(pk=UUID(search_term.strip())), False
        except ValueError:
            return super().get_search_results(request, queryset, search_term)

    @admin.display(description="status", ordering="status")
    def status_badge(self, job: ContainerJob) -> str:
        shown = badge(job.status, job.get_status_display())
        phase = job.phase_now  # type: ignore[attr-defined]  # annotated
        return format_html("{} {}", shown, phase) if phase else shown

    @admin.display(description="host")
    def host(self, job: ContainerJob) -> str:
        return job.host_now or "any"  # type: ignore[attr-defined]  # annotated

    @admin.display
    def took(self, job: ContainerJob) -> str:
        seconds = presenters.duration_seconds(job.started_at, job.completed_at, timezone.now())
        return presenters.duration(seconds) or NOTHING

    @admin.display
    def log(self, job: ContainerJob) -> str:
        return format_html('<a href="{}">log</a>', reverse("admin:jobs_containerjob_log", args=[job.pk]))

    @admin.display(description="failure")
    def why(self, job: ContainerJob) -> str:
        return f"{job.failure_message} {job.failure_hint}".strip() or NOTHING

    @admin.display(description="waits, because")
    def waits(self, job: ContainerJob) -> str:
        supervised = job.status != JobStatus.PENDING or is_supervised()
        return waiting.pending_reason(job, supervised=supervised) or NOTHING

    @admin.display(description="environment (values are not shown)")
    def environment(self, job: ContainerJob) -> str:
        try:
            secrets = set(job.secret_environment)
        except ConfigurationError as exc:  # no key decrypts them
            return f"{', '.join(sorted(job.override_environment))} {exc}".strip()
        return ", ".join(sorted({*job.override_environment, *secrets})) or NOTHING

    @admin.display(description="in effect")
    def bounds(self, job: ContainerJob) -> str:
        newest = Attempt.objects.filter(job=job, number=job.attempt_count).first()
        lines = limits.lines(spec.limits(job, newest))
        return format_html_join(mark_safe("<br>"), "{}: {}", [line for line in lines if line[1]])

    @admin.display
    def restart_of(self, job: ContainerJob) -> str:
        return (
            job_link(job.restarted_from_id, str(job.restarted_from_id)) if job.restarted_from_id else NOTHING
        )

    # --- What may be done ---

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer what was not archived: nothing else would ever run."""
        usable = db_field.remote_field.model.objects.filter(archived_at=None)
        if db_field.name == "docker_host":
            usable = usable.defer("secret_config")
        return super().formfield_for_foreignkey(db_field, request, **{"queryset": usable, **kwargs})

    def has_change_permission(self, request: HttpRequest, obj: ContainerJob | None = None) -> bool:
        return obj is None and super().has_change_permission(request)

    def has_delete_permission(self, request: HttpRequest, obj: ContainerJob | None = None) -> bool:
        ended = obj is None or obj.status in ENDED_STATUSES
        return ended and super().has_delete_permission(request)

    def save_model(self, request: HttpRequest, obj: ContainerJob, form: Any, change: bool) -> None:
        submitted = operations.submit(
            obj.template,
            host=obj.docker_host,
            name=obj.name,
            command=obj.override_command,
            image=obj.override_image,
            environment=obj.override_environment,
            priority=obj.priority,
            max_attempts=obj.override_max_attempts,
            retry_on=obj.override_retry_on,
            start_deadline_seconds=obj.override_start_deadline_seconds,
            limit_key=obj.limit_key,
            user=request.user,  # type: ignore[arg-type]  # the admin knows no anonymous users
            who=request.user.get_username(),
        )
        obj.pk, obj._state.adding = submitted.pk, False

    def get_deleted_objects(
        self, objs: Sequence[ContainerJob] | models.QuerySet[ContainerJob], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        # Django's own asks for the right to delete each attempt and log, which nobody has.
        blocking = [f"{job}, which has not ended" for job in objs if job.status not in ENDED_STATUSES]
        return [str(job) for job in objs], {"jobs, with their logs and history": len(objs)}, set(), blocking

    def delete_model(self, request: HttpRequest, obj: ContainerJob) -> None:
        self._delete_each(request, [obj])

    def delete_queryset(self, request: HttpRequest, queryset: models.QuerySet[ContainerJob]) -> None:
        self._delete_each(request, list(queryset))

    def _delete_each(self, request: HttpRequest, jobs: Sequence[ContainerJob]) -> None:
        for job in jobs:
            try:
                operations.delete(job.pk)
            except Refused as exc:
                self.message_user(request, str(exc), messages.ERROR)

    def get_urls(self) -> list[URLPattern]:
        return [path("<uuid:job_id>/log/", old_address, name="jobs_containerjob_log"), *super().get_urls()]

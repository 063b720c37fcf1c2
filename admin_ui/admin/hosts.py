"""Hosts: what people want of them, and what was last seen."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.db import models
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import mark_safe

from admin_ui import presenters
from admin_ui.admin.bases import Badges, ModelAdmin, NewestRows, OfHost, ReadOnly, TabularInline
from admin_ui.admin.columns import NOTHING, badge
from admin_ui.admin.json_fields import SMALL_BOXES, JsonForm
from admin_ui.load import with_running_count
from admin_ui.presenters import who_and_when
from hosts import operations, registries, wakeups
from hosts.errors import ConfigurationError
from hosts.executors import registry as executors
from hosts.models import (
    OF_SUPERVISORS,
    DockerHost,
    DrainThen,
    HostCount,
    HostLease,
    HostRequest,
    HostSample,
    Installation,
)
from hosts.operations import HostRefused
from hosts.secret_marks import mark_of
from jobs import facts, host_removal, log_cap

_NOBODY_AFTER = timedelta(seconds=10)


def answer_to(request: HostRequest) -> str:
    """What became of a request, for people."""
    now = timezone.now()
    if request.done_at:
        return f"{'' if request.ok else 'failed: '}{request.result}"
    if request.expires_at < now:
        return "nobody answered in time"
    if request.taken_at is None and now - request.at > _NOBODY_AFTER:
        return "no supervisor took it yet" if request.verb in OF_SUPERVISORS else "no worker holds this host"
    return "waiting for the worker"


class RecentRequests(NewestRows):
    limit = 10


class RequestInline(ReadOnly, TabularInline[HostRequest, DockerHost]):
    model = HostRequest
    formset = RecentRequests
    fields = ("verb", "by", "at", "ok", "answer")
    readonly_fields = ("at", "answer")
    verbose_name_plural = "recent requests"
    extra = 0

    @admin.display
    def answer(self, request: HostRequest) -> str:
        return answer_to(request)


@admin.register(DockerHost)
class HostAdmin(Badges, ModelAdmin[DockerHost]):
    list_display = (
        "name",
        "executor_type",
        "state_badge",
        "availability_badge",
        "is_active",
        "running",
        "weight",
        "base_url",
    )
    list_filter = ("state", "availability", "is_active", "executor_type")
    search_fields = ("name", "connection_string")
    show_full_result_count = False
    inlines = (RequestInline,)
    form = JsonForm
    formfield_overrides = SMALL_BOXES
    actions = ("test_connection", "cordon", "drain", "activate", "remove")
    seen = (
        "state_badge",
        "state_since_at",
        "state_reason",
        "seen_at",
        "engine_version",
        "engine_cpus",
        "memory",
        "containers_running",
        "containers_ours",
        "disk",
        "engine_id",
        "without_a_row",
        "archived_at",
    )
    readonly_fields = (
        *seen,
        "cannot",
        "given",
        "registry_logins",
        "secrets",
        "drain_deadline_at",
        "drain_then",
    )
    fieldsets = (
        (None, {"fields": ("name", "executor_type", "cannot", "connection_string", "executor_config")}),
        ("Allowed", {"fields": ("policy",)}),
        ("Placement", {"fields": ("labels", "memory_percent", "cpu_percent", "given")}),
        ("Secrets", {"fields": ("registry_logins", "secrets")}),
        (
            "Wanted",
            {
                "fields": (
                    *("weight", "max_concurrent_jobs", "is_active", "availability"),
                    *("drain_deadline_at", "drain_then"),
                )
            },
        ),
        ("Seen", {"fields": seen}),
    )

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[DockerHost]:
        return with_running_count(super().get_queryset(request).defer("secret_config"))

    def has_delete_permission(self, request: HttpRequest, obj: DockerHost | None = None) -> bool:
        # Its jobs and their history need it; the action `remove` deletes one that never had any.
        return False

    def save_model(self, request: HttpRequest, obj: DockerHost, form: Any, change: bool) -> None:
        if "availability" in form.changed_data:  # the deadline of an earlier draining is no wish of today's
            obj.drain_deadline_at, obj.drain_then = None, DrainThen.WAIT
        super().save_model(request, obj, form, change)
        wakeups.notify(obj.pk if change else None)
        if warning := log_cap.warning_for(obj):
            self.message_user(request, warning, messages.WARNING)

    @admin.display(description="state", ordering="state")
    def state_badge(self, host: DockerHost) -> str:
        return badge(host.state, host.get_state_display())

    @admin.display(description="wanted", ordering="availability")
    def availability_badge(self, host: DockerHost) -> str:
        return badge(host.availability, host.availability) if not host.archived_at else "removed"

    @admin.display(description="running jobs")
    def running(self, host: DockerHost) -> str:
        return f"{host.running_count} / {host.max_concurrent_jobs}"  # type: ignore[attr-defined]  # annotated

    @admin.display(description="memory")
    def memory(self, host: DockerHost) -> str:
        return presenters.size(host.engine_memory_bytes) or NOTHING

    @admin.display(description="given to jobs now")
    def given(self, host: DockerHost) -> str:
        found = facts.of_host(host.pk) if host.pk else None
        if found is None:
            return NOTHING
        memory = presenters.size(found.memory_reserved) or "0"
        most = presenters.size(found.memory_bytes) if found.memory_bytes is not None else "not told"
        cpus = f"{found.cpu_millis / 1000:g}" if found.cpu_millis is not None else "not told"
        return f"memory {memory} of {most}; CPUs {found.cpu_reserved / 1000:g} of {cpus}"

    @admin.display(description="disk")
    def disk(self, host: DockerHost) -> str:
        free, total = presenters.size(host.disk_free_bytes), presenters.size(host.disk_total_bytes)
        return f"{free} of {total} free" if free and total else NOTHING

    @admin.display(description="its executor cannot")
    def cannot(self, host: DockerHost) -> str:
        return "; ".join(executors.limits(host.executor_type)) or NOTHING

    @admin.display(description="registry logins (passwords are not shown)")
    def registry_logins(self, host: DockerHost) -> str:
        try:
            logins = registries.usernames(host.secret_config)
        except ConfigurationError as exc:  # no key decrypts them
            return str(exc)
        return ", ".join(f"{registry} as {username}" for registry, username in logins.items()) or NOTHING

    @admin.display(description="secret settings (set by manage_docker_host secret; none is shown)")
    def secrets(self, host: DockerHost) -> str:
        try:
            stored = set(host.secret_config)
        except ConfigurationError as exc:  # no key decrypts them
            return str(exc)
        try:
            known = sorted(operations.secret_keys(host.executor_type))
        except ConfigurationError:  # its executor is unknown here, which the page says elsewhere
            known = sorted(stored - {registries.KEY})
        states = (_secret_state(host, key) for key in known)
        return ", ".join(states) or NOTHING

    @admin.display(description="containers without a row")
    def without_a_row(self, host: DockerHost) -> str:
        lines = ((one["name"], one["state"], one["since"]) for one in host.orphans)
        return format_html_join(mark_safe("<br>"), "{}, {}, seen since {}", lines) or NOTHING

    @admin.action(description="Test the connection", permissions=["change"])
    def test_connection(self, request: HttpRequest, hosts: models.QuerySet[DockerHost]) -> None:
        for host in hosts:
            operations.request_test(host.pk, by=request.user.get_username())
        names = ", ".join(host.name for host in hosts)
        text = f"Asked for a test of {names}. The answer appears on the page of the host."
        self.message_user(request, text)

    @admin.action(description="Cordon: no new jobs", permissions=["change"])
    def cordon(self, request: HttpRequest, hosts: models.QuerySet[DockerHost]) -> None:
        self._each(request, hosts, operations.cordon, "cordoned")

    @admin.action(description="Drain: no new jobs, wait for the running ones", permissions=["change"])
    def drain(self, request: HttpRequest, hosts: models.QuerySet[DockerHost]) -> None:
        self._each(request, hosts, operations.drain, "draining")

    @admin.action(description="Activate: take jobs again", permissions=["change"])
    def activate(self, request: HttpRequest, hosts: models.QuerySet[DockerHost]) -> None:
        self._each(request, hosts, operations.activate, "active")

    @admin.action(description="Remove: archive, or delete one that never had a job", permissions=["change"])
    def remove(self, request: HttpRequest, hosts: models.QuerySet[DockerHost]) -> None:
        self._each(request, hosts, host_removal.remove, "removed")

    def _each(
        self,
        request: HttpRequest,
        hosts: models.QuerySet[DockerHost],
        operation: Callable[[UUID], object],
        result: str,
    ) -> None:
        done, refused = [], []
        for host in hosts:
            try:
                operation(host.pk)
                done.append(host.name)
            except HostRefused as exc:
                refused.append(f"{host.name}: {exc}")
        level = messages.WARNING if refused else messages.SUCCESS
        parts = [f"{', '.join(done)}: {result}."] if done else []
        self.message_user(request, " ".join([*parts, *refused]), level)


def _secret_state(host: DockerHost, key: str) -> str:
    mark = mark_of(host.secret_marks, key)
    state = "set" if key in host.secret_config else "not set"
    return f"{key}: {' '.join(part for part in (state, who_and_when(mark.by, mark.at)) if part)}"


@admin.register(HostLease)
class LeaseAdmin(OfHost, ReadOnly, ModelAdmin[HostLease]):
    list_display = ("host", "epoch", "owner", "machine", "pid", "acquired_at", "expires_at", "released_at")
    list_select_related = ("host",)
    show_full_result_count = False


@admin.register(HostRequest)
class RequestAdmin(OfHost, ReadOnly, ModelAdmin[HostRequest]):
    list_display = ("host", "verb", "by", "at", "ok", "answer")
    list_select_related = ("host",)
    list_filter = ("verb", "ok")
    show_full_result_count = False
    readonly_fields = ("at", "answer")

    @admin.display
    def answer(self, request: HostRequest) -> str:
        return answer_to(request)


@admin.register(HostSample)
class SampleAdmin(OfHost, ReadOnly, ModelAdmin[HostSample]):
    list_display = (
        "host",
        "at",
        "jobs_running",
        "slots",
        "containers_running",
        "cpu_percent",
        "memory_used_bytes",
        "disk_free_bytes",
    )
    list_select_related = ("host",)
    show_full_result_count = False


@admin.register(HostCount)
class HostCountAdmin(OfHost, ReadOnly, ModelAdmin[HostCount]):
    list_display = ("host", "action", "count", "at")
    list_filter = ("action",)
    list_select_related = ("host",)
    show_full_result_count = False


@admin.register(Installation)
class InstallationAdmin(ReadOnly, ModelAdmin[Installation]):
    list_display = ("id", "database_identity", "created_at")
    show_full_result_count = False

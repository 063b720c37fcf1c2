"""Which processes of ours run."""

from __future__ import annotations

from django.contrib import admin
from django.utils import timezone

from admin_ui import presenters
from admin_ui.admin.bases import ModelAdmin, OfHost, ReadOnly
from supervisor.models import HEARTBEAT_STALE_AFTER, SupervisorProcess


@admin.register(SupervisorProcess)
class ProcessAdmin(OfHost, ReadOnly, ModelAdmin[SupervisorProcess]):
    list_display = (
        "role",
        "host",
        "machine",
        "pid",
        "state",
        "alive",
        "restarts",
        "is_crash_looping",
        "last_exit",
        "jobs_held",
        "memory",
        "started_at",
        "heartbeat_at",
    )
    list_select_related = ("host",)
    list_filter = ("role", "is_crash_looping")
    show_full_result_count = False

    @admin.display(boolean=True)
    def alive(self, process: SupervisorProcess) -> bool:
        return timezone.now() - process.heartbeat_at < HEARTBEAT_STALE_AFTER

    @admin.display(description="memory")
    def memory(self, process: SupervisorProcess) -> str:
        return presenters.size(process.rss_bytes)

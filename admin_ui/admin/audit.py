"""The audit among Django's tables, for who looks for it there; the page `Audit` shows more."""

from __future__ import annotations

from django.contrib import admin

from admin_ui.admin.bases import BoundedPaginator, ModelAdmin, ReadOnly
from audit.models import AuditCheckpoint, AuditEvent


@admin.register(AuditEvent)
class EventAdmin(ReadOnly, ModelAdmin[AuditEvent]):
    list_display = ("seq", "at", "actor", "door", "address", "verb", "object_label", "outcome")
    list_filter = ("door", "outcome")
    show_full_result_count = False
    paginator = BoundedPaginator


@admin.register(AuditCheckpoint)
class CheckpointAdmin(ReadOnly, ModelAdmin[AuditCheckpoint]):
    list_display = ("seq", "at", "signed_by", "reason", "count")
    show_full_result_count = False
    paginator = BoundedPaginator

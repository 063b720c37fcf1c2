"""Concurrency limits, and what each of them comes to now."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Func, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest

from admin_ui.admin.bases import ModelAdmin
from hosts import wakeups
from jobs.models import Attempt, ConcurrencyLimit, ContainerJob


def _count(rows: QuerySet[Any]) -> Subquery:
    counted = rows.annotate(count=Func("pk", function="COUNT", output_field=IntegerField()))
    return Subquery(counted.values("count"))


@admin.register(ConcurrencyLimit)
class LimitAdmin(ModelAdmin[ConcurrencyLimit]):
    list_display = ("key", "max_concurrent", "running_now", "waiting_jobs", "note")
    search_fields = ("key", "note")
    show_full_result_count = False
    fields = ("key", "max_concurrent", "note", "running_now", "waiting_jobs")
    readonly_fields = ("running_now", "waiting_jobs")

    def get_queryset(self, request: HttpRequest) -> Any:
        key = OuterRef("key")
        named = Q(job__limit_key=key) | Q(job__template__limit_key=key)
        holding = Attempt.objects.open().holding_slots().filter(named).order_by()
        waiting = ContainerJob.objects.pending().filter(hold="", limit_key=key).order_by()
        return super().get_queryset(request).annotate(running=_count(holding), waiting=_count(waiting))

    @admin.display(description="running now")
    def running_now(self, limit: ConcurrencyLimit) -> int:
        return getattr(limit, "running", 0)

    @admin.display(description="waiting jobs that name it themselves")
    def waiting_jobs(self, limit: ConcurrencyLimit) -> int:
        return getattr(limit, "waiting", 0)

    def save_model(self, request: HttpRequest, obj: ConcurrencyLimit, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        wakeups.notify(None)

    def delete_model(self, request: HttpRequest, obj: ConcurrencyLimit) -> None:
        super().delete_model(request, obj)
        wakeups.notify(None)

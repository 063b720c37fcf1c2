"""What is added, changed and deleted on Django's pages leaves audit rows, inlines included."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any

from django.contrib.admin.models import LogEntry
from django.db import models
from django.http import HttpRequest

from admin_ui.recording import kind_of
from audit import acts, snapshots
from audit.entries import Entry
from audit.snapshots import Change

_CHANGE = "_audit_change"


def record(verb: str, row: models.Model, change: Change) -> None:
    """Leave a row about an object that a form changed."""
    kind = kind_of(type(row))
    acts.record(
        Entry(
            verb=f"{kind}.{verb}",
            kind=kind,
            key=str(row.pk),
            label=str(row),
            before=change.before,
            after=change.after,
            says=change.says,
        )
    )


class Audited:
    """For admin classes, before Django's own. What is saved by an operation has its row from there."""

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        with acts.together() if request.method == "POST" else nullcontext():
            return super().changeform_view(request, *args, **kwargs)  # type: ignore[misc]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        before = snapshots.stored(obj) if change else None
        super().save_model(request, obj, form, change)  # type: ignore[misc]
        setattr(request, _CHANGE, snapshots.change(before, obj))

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        before = {one.pk: one for one in _stored(formset)}
        super().save_formset(request, form, formset, change)  # type: ignore[misc]
        found: Change | None = getattr(request, _CHANGE, None)
        if found is None:
            return
        for row in (*formset.new_objects, *(row for row, _ in formset.changed_objects)):
            found.add(snapshots.change(before.pop(row.pk, None), row), _named(row))
        left = {row.pk for row in _stored(formset)}
        for row in (row for row in before.values() if row.pk not in left):
            found.add(snapshots.change(row, None), _named(row))

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> LogEntry:
        self._record(request, "add", obj)
        return super().log_addition(request, obj, message)  # type: ignore[misc, no-any-return]

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> LogEntry:
        self._record(request, "change", obj)
        return super().log_change(request, obj, message)  # type: ignore[misc, no-any-return]

    def _record(self, request: HttpRequest, verb: str, obj: models.Model) -> None:
        found: Change | None = request.__dict__.pop(_CHANGE, None)
        if found is not None and (found or verb == "add"):
            record(verb, obj, found)

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        with acts.together() if request.method == "POST" else nullcontext():
            return super().delete_view(request, *args, **kwargs)  # type: ignore[misc]

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        before = snapshots.stored(obj)
        super().delete_model(request, obj)  # type: ignore[misc]
        _record_deleted([before] if before else [])

    def delete_queryset(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> None:
        with acts.together():
            before = list(queryset)
            super().delete_queryset(request, queryset)  # type: ignore[misc]
            _record_deleted(before)


def _record_deleted(rows: Iterable[models.Model]) -> None:
    for row in rows:
        record("delete", row, snapshots.change(row, None))


def _stored(formset: Any) -> Iterable[models.Model]:
    keys = [
        form.initial.get(formset.model._meta.pk.name) or form.instance.pk for form in formset.initial_forms
    ]
    rows: Iterable[models.Model] = formset.model._base_manager.filter(pk__in=[key for key in keys if key])
    return rows


def _named(row: models.Model) -> str:
    return f"{row._meta.verbose_name} {row}"

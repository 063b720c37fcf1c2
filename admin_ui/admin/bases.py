"""Admin classes that ours start from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteSelect
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db import models
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest
from django.utils.functional import cached_property

from admin_ui.admin.audited import Audited

if TYPE_CHECKING:
    Model = TypeVar("Model", bound=models.Model)

    class ModelAdmin(Audited, admin.ModelAdmin[Model]):
        """A ModelAdmin whose acts leave audit rows."""

    TabularInline = admin.TabularInline
    StackedInline = admin.StackedInline
else:
    # At run time these classes take no type arguments.

    class _Generic:
        def __class_getitem__(cls, _item: object) -> type:
            return cls

    class ModelAdmin(Audited, _Generic, admin.ModelAdmin):
        """A ModelAdmin that takes type arguments, and whose acts leave audit rows."""

    class TabularInline(_Generic, admin.TabularInline):
        """An inline that takes type arguments."""

    class StackedInline(_Generic, admin.StackedInline):
        """An inline that takes type arguments."""


COUNTED = 10_000


class Choice(AutocompleteSelect):
    """Shows again what was sent, unless no row can be named by it: Django would look it up as it is."""

    def optgroups(self, name: str, value: Any, attr: Any = None) -> Any:
        """The options that are chosen."""
        key = self.field.target_field
        return super().optgroups(name, [one for one in value if _is_key(key, one)], attr)


def _is_key(field: Any, value: Any) -> bool:
    try:
        field.to_python(value)
    except ValidationError:
        return False
    return True


class Choices:
    """An admin whose `autocomplete_fields` are each a `Choice`."""

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name in self.get_autocomplete_fields(request):  # type: ignore[attr-defined]
            kwargs["widget"] = Choice(db_field, self.admin_site, using=kwargs.get("using"))  # type: ignore[attr-defined]
        return super().formfield_for_foreignkey(db_field, request, **kwargs)  # type: ignore[misc]


class BoundedPaginator(Paginator):  # type: ignore[type-arg]  # no generic at run time
    """Counts no further than `COUNTED` rows: to count a million of them takes longer than to show a page."""

    @cached_property
    def count(self) -> int:
        """How many rows there are, as far as it counts; no page is shown past them."""
        rows: Any = self.object_list
        return int(rows.order_by().values("pk")[:COUNTED].count())


class ReadOnly:
    """Rows that programs write: people look at them."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class NewestRows(BaseInlineFormSet):  # type: ignore[type-arg]  # no generic at run time
    """At most `limit` rows of an inline, in the order of the model."""

    limit = 50

    def get_queryset(self) -> models.QuerySet[Any]:
        if not hasattr(self, "_newest"):
            self._newest = super().get_queryset()[: self.limit]
        return self._newest


class Badges:
    """The style sheet of `admin_ui.admin.columns.badge`."""

    class Media:
        css = {"all": ["admin_ui/badges.css"]}


class OfHost:
    """Rows that name a host: nothing of it is decrypted for that."""

    def get_queryset(self, request: HttpRequest) -> Any:
        rows = super().get_queryset(request)  # type: ignore[misc]
        return rows.select_related("host").defer("host__secret_config")

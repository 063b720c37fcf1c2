"""Saved views of the list: to save one, rename it, share it, delete it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

from django import forms
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django_htmx.http import HttpResponseClientRedirect

from admin_ui import recording
from admin_ui.models import SavedView
from admin_ui.pages import base
from admin_ui.pages.jobs.filters import only_filters

VIEW = "jobs.view_containerjob"
MOST_OF_ONE = 50
_MOST_SHARED = 50


class ViewForm(forms.ModelForm):  # type: ignore[type-arg]  # no generic at run time
    """Its name, and whether others see it."""

    class Meta:
        model = SavedView
        fields = ("name", "is_shared")
        labels = {"name": gettext_lazy("Name"), "is_shared": gettext_lazy("Others see it, too")}

    def clean(self) -> dict[str, Any] | None:
        data = super().clean()
        others = SavedView.objects.filter(owner_id=self.instance.owner_id).exclude(pk=self.instance.pk)
        if self.instance._state.adding and others.count() >= MOST_OF_ONE:
            raise ValidationError(_("You have %(most)d views; delete one first.") % {"most": MOST_OF_ONE})
        if others.filter(name=self.cleaned_data.get("name")).exists():
            self.add_error("name", _TAKEN)
        return data


_TAKEN = gettext_lazy("You have a view of that name already.")


def seen_by(user: AbstractBaseUser | AnonymousUser) -> Sequence[SavedView]:
    """One's own, then those that others share."""
    mine = list(_own(user)[:MOST_OF_ONE])
    shared = SavedView.objects.filter(is_shared=True).exclude(owner_id=user.pk).select_related("owner")
    return [*mine, *shared[:_MOST_SHARED]]


def _own(user: AbstractBaseUser | AnonymousUser) -> QuerySet[SavedView]:
    return SavedView.objects.filter(owner_id=user.pk)


@base.needs(VIEW)
def save(request: HttpRequest) -> HttpResponseBase:
    """Keep the filters in the address under a name."""
    query = only_filters(request.GET.urlencode())
    view = SavedView(owner=cast(User, request.user), query=query)
    return _edit(request, view, title=_("Save this view"), button=_("Save"), back=_address(query))


@base.needs(VIEW)
def change(request: HttpRequest, view_id: UUID) -> HttpResponseBase:
    """Rename it, share it; `?query=1` with filters: make it show these from now on."""
    view = get_object_or_404(_own(request.user), pk=view_id)
    if request.GET.get("replace"):
        view.query = only_filters(request.GET.urlencode())
    return _edit(request, view, title=_("Change the view"), button=_("Save"), back=_address(view.query))


@base.needs(VIEW)
def delete(request: HttpRequest, view_id: UUID) -> HttpResponseBase:
    """Forget it; the jobs stay."""
    view = get_object_or_404(_own(request.user), pk=view_id)
    back = _address(view.query)
    if request.method == "POST":
        with recording.deleted(view):
            view.delete()
        return _gone_to(request, back)
    words = {"name": view.name}
    sentence = _("The view %(name)s is deleted; the jobs that it shows stay.") % words
    if view.is_shared:
        sentence += " " + _("Others who use it lose it, too.")
    context = {
        "title": _("Delete the view %(name)s?") % words,
        "sentence": sentence,
        "button": _("Delete the view"),
        "is_dangerous": True,
        "back": back,
    }
    return base.ask(request, context)


def _edit(request: HttpRequest, view: SavedView, *, title: str, button: str, back: str) -> HttpResponseBase:
    form = ViewForm(request.POST if request.method == "POST" else None, instance=view)
    if request.method == "POST" and form.is_valid():
        try:
            with recording.saved(view):
                form.save()
        except IntegrityError:  # saved twice at the same moment
            form.add_error("name", _TAKEN)
        else:
            return _gone_to(request, _address(view.query))
    sentence = _("It keeps the filters: %(filters)s.") % {"filters": view.query or _("none, all jobs")}
    context = {"title": title, "sentence": sentence, "form": form, "button": button, "back": back}
    return base.ask(request, context)


def _address(query: str) -> str:
    return f"{reverse('admin:jobs')}?{query}" if query else reverse("admin:jobs")


def _gone_to(request: HttpRequest, address: str) -> HttpResponseBase:
    """The list once more: its menu of views has changed."""
    if base.is_part(request):
        return HttpResponseClientRedirect(address)
    return redirect(address)

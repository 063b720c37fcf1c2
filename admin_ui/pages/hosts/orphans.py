"""Containers of ours of which no job tells: the list of a host, and a way to have them removed."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from admin_ui.pages import base
from hosts import operations
from hosts.models import DockerHost

_NAMED = 50
_RUNNING = ("starting", "running")
_NONE = gettext_lazy("None of these containers is there any more.")


class Seen(forms.Form):
    """Those that the question named: one that is found only later is not removed with them."""

    containers = forms.CharField(widget=forms.HiddenInput)


def listed(host: DockerHost) -> list[dict[str, Any]]:
    """The containers as the page shows them, those that were there first on top."""
    found = [{**one, "since": _moment(one.get("since", ""))} for one in host.orphans]
    return sorted(found, key=lambda one: (one["since"] is None, one["since"]))


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


@base.needs("hosts.view_dockerhost", "hosts.change_dockerhost")
def remove(request: HttpRequest, host_id: UUID) -> HttpResponseBase:
    """GET lists what would be removed and changes nothing; POST asks the host's worker to remove it."""
    hosts = DockerHost.objects.only("id", "name", "orphans")
    host = get_object_or_404(hosts, pk=host_id, archived_at=None)
    found = listed(host)
    if request.method == "POST":
        return _ask_worker(request, host, found)
    if not found:
        context = {"title": host.name, "sentence": _NONE, "back": reverse("admin:host", args=[host.pk])}
        return base.ask(request, context, template="admin_ui/jobs/act_nothing.html")
    return base.ask(request, _question(host, found))


def _question(host: DockerHost, found: list[dict[str, Any]]) -> dict[str, Any]:
    count = len(found)
    running = sum(one["state"] in _RUNNING for one in found)
    button = ngettext("Remove %(count)d container", "Remove %(count)d containers", count) % {"count": count}
    text = _(
        "No job tells of them: one was deleted, or the database is older than they are. After a restore they "
        "may be all that is left of their jobs. A container is kept if a job of it is there by then."
    )
    if running:
        ends = ngettext(
            "%(running)d of them runs, and is asked to end first.",
            "%(running)d of them run, and are asked to end first.",
            running,
        )
        text = f"{text} {ends % {'running': running}}"
    return {
        "title": _("Containers without a row on %(host)s") % {"host": host.name},
        "sentence": text,
        "items": [_("%(name)s, %(state)s") % one for one in found[:_NAMED]],
        "left_out": max(0, count - _NAMED),
        "button": button,
        "is_dangerous": True,
        "form": Seen(initial={"containers": " ".join(one["id"] for one in found)}),
        "back": reverse("admin:host", args=[host.pk]),
    }


def _ask_worker(request: HttpRequest, host: DockerHost, found: list[dict[str, Any]]) -> HttpResponseBase:
    named = set(request.POST.get("containers", "").split())
    chosen = [one["id"] for one in found if one["id"] in named]
    back = reverse("admin:host", args=[host.pk])
    if not chosen:
        return base.done(request, str(_NONE), back=back, level=messages.WARNING)
    operations.request_removal(host.pk, chosen, by=request.user.get_username())
    asked = ngettext(
        "The worker of %(host)s was asked to remove %(count)d container.",
        "The worker of %(host)s was asked to remove %(count)d containers.",
        len(chosen),
    )
    return base.done(request, asked % {"host": host.name, "count": len(chosen)}, back=back)

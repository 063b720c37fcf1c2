"""Adding a host: its kind, its settings, a test of its connection; and the same form to change them later."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.admin.models import ADDITION, CHANGE
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from admin_ui import recording
from admin_ui.pages import base
from admin_ui.pages.hosts import audit, rows
from admin_ui.pages.hosts.forms import HostForm
from hosts import operations, wakeups
from hosts.errors import ConfigurationError
from hosts.executors import registry
from hosts.models import DockerHost
from jobs import log_cap

_SAVED = ("name", "weight", "max_concurrent_jobs", "labels")
_SETTINGS = ("connection_string", "executor_config", "secret_config", "secret_marks")


@base.needs("hosts.add_dockerhost", "hosts.view_dockerhost")
def new(request: HttpRequest) -> HttpResponseBase:
    """First the kind, then its form; what is saved is switched off, and tested at once."""
    kind = request.GET.get("kind", "")
    if kind not in registry.kinds():
        context = {"kinds": _kinds()}
        return base.render(
            request, "admin_ui/host_kinds.html", context, title=gettext_lazy("Add a host"), section="hosts"
        )
    host = DockerHost(executor_type=kind, is_active=False)
    form = HostForm(
        request.POST if request.method == "POST" else None, instance=host, by=request.user.get_username()
    )
    if request.method == "POST" and form.is_valid():
        with recording.added(host):
            form.save()
        audit.note(request, [host], "added", flag=ADDITION)
        return _test(request, host)
    return _page(request, form, title=_("Add a host: %(kind)s") % {"kind": registry.label(kind)}, is_new=True)


@base.needs("hosts.change_dockerhost", "hosts.view_dockerhost")
def edit(request: HttpRequest, host_id: UUID) -> HttpResponseBase:
    """The same form for a host that is there; its worker takes up what is new by itself."""
    host = get_object_or_404(DockerHost.objects.filter(archived_at=None).defer("secret_config"), pk=host_id)
    try:
        host.refresh_from_db(fields=["secret_config"])
    except ConfigurationError as exc:
        host.secret_config = {}
        messages.warning(request, _("%(reason)s If you save here, type its secrets again.") % {"reason": exc})
    form = HostForm(
        request.POST if request.method == "POST" else None, instance=host, by=request.user.get_username()
    )
    if request.method == "POST" and form.is_valid():
        with recording.saved(host):
            # Only these: what a worker has written of the host meanwhile stands.
            host.save(update_fields=[*_SAVED, *_SETTINGS, "updated_at"])
        wakeups.notify(host.pk)
        changed = ", ".join(name.removeprefix("setting-") for name in form.changed_data)
        audit.note(request, [host], f"settings: {changed or 'none'}", flag=CHANGE)
        return _test(request, host)
    return _page(request, form, title=_("Settings of %(host)s") % {"host": host.name}, is_new=False)


def _test(request: HttpRequest, host: DockerHost) -> HttpResponseBase:
    operations.request_examination(host.pk, by=request.user.get_username())
    if warning := log_cap.warning_for(host):
        messages.warning(request, warning)
    return HttpResponseRedirect(reverse("admin:host_test", args=[host.pk]))


def _page(request: HttpRequest, form: HostForm, *, title: str, is_new: bool) -> HttpResponseBase:
    host = form.instance
    context: dict[str, Any] = {"form": form, "is_new": is_new, "limits": registry.limits(host.executor_type)}
    if not is_new:
        context["host"] = host
    return base.render(request, "admin_ui/host_form.html", context, title=title, section="hosts")


def _kinds() -> list[dict[str, str]]:
    said = {
        "docker": _("A Docker engine, or Podman: on this machine, over TLS or over ssh."),
        "swarm": _("A Docker Swarm: it chooses the node of each job by itself."),
        "process": _("Plain processes of the supervisor's machine. For development: no isolation."),
        "cloudrun": _("Jobs of Google Cloud Run, in one region of a project."),
        "fargate": _("Tasks of AWS Fargate, in an ECS cluster."),
    }
    there = registry.kinds()
    in_order = [*(kind for kind in said if kind in there), *(kind for kind in there if kind not in said)]
    return [
        {"kind": kind, "label": registry.label(kind), "icon": rows.icon_of(kind), "words": said.get(kind, "")}
        for kind in in_order
    ]

"""One host: how it is, what runs there, what it has, and what was asked of it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404

from admin_ui.load import with_running_count
from admin_ui.pages import base
from admin_ui.pages.hosts import charts, forms, history, orphans, rows, testing
from admin_ui.templatetags.ops import NOTHING
from hosts import registries
from hosts.errors import ConfigurationError
from hosts.executors import registry
from hosts.models import DockerHost
from jobs import facts
from jobs.placement import HostFacts


@base.needs("hosts.view_dockerhost")
def host(request: HttpRequest, host_id: UUID) -> HttpResponseBase:
    """The page."""
    found = _host(host_id)
    context = {
        **_head(request, found),
        **_body(request, found),
        "charts": charts.CHARTS,
        "ranges": charts.RANGES,
    }
    return base.render(request, "admin_ui/host.html", context, title=found.name, section="hosts")


@base.needs("hosts.view_dockerhost")
def head(request: HttpRequest, host_id: UUID) -> HttpResponse:
    """The live part with its state and acts."""
    return base.part(request, "admin_ui/_host_head.html", _head(request, _host(host_id)))


@base.needs("hosts.view_dockerhost")
def body(request: HttpRequest, host_id: UUID) -> HttpResponse:
    """The live part with all the rest."""
    return base.part(request, "admin_ui/_host_body.html", _body(request, _host(host_id)))


def _host(host_id: UUID) -> DockerHost:
    hosts = DockerHost.objects.select_related("lease").defer("secret_config")
    return get_object_or_404(with_running_count(hosts), pk=host_id)


def _head(request: HttpRequest, host: DockerHost) -> dict[str, Any]:
    row = rows.read([host])[0]
    may_change = request.user.has_perm("hosts.change_dockerhost")
    return {"host": host, "row": row, "may_change": may_change and host.archived_at is None}


def _body(request: HttpRequest, host: DockerHost) -> dict[str, Any]:
    row = rows.read([host])[0]
    ours, running = host.containers_ours, host.containers_running
    foreign = max(0, running - ours) if ours is not None and running is not None else None
    return {
        "host": host,
        "row": row,
        "lease": getattr(host, "lease", None),
        "given": (given := facts.of_host(host.pk)),
        "cpus_given": _cpus(given),
        "foreign": foreign,
        "running": history.running(host),
        "recent": history.recent(host),
        "templates": history.templates(host),
        "events": history.events(host),
        "orphans": orphans.listed(host),
        "test": testing.newest(host.pk),
        "cannot": registry.limits(host.executor_type),
        "kind": registry.label(host.executor_type),
        **_settings(host),
        "may_change": request.user.has_perm("hosts.change_dockerhost") and host.archived_at is None,
        "may_see_jobs": request.user.has_perm("jobs.view_containerjob"),
        "hide_buttons": True,
    }


def _cpus(given: HostFacts | None) -> str:
    """How many CPUs jobs were given, of how many."""
    if given is None:
        return ""
    most = f"{given.cpu_millis / 1000:g}" if given.cpu_millis is not None else NOTHING
    return f"{given.cpu_reserved / 1000:g} / {most}"


def _settings(host: DockerHost) -> dict[str, Any]:
    """The settings without their secrets, which are read only to say which of them are set."""
    try:
        secrets = dict(DockerHost.objects.only("secret_config").get(pk=host.pk).secret_config)
    except ConfigurationError as exc:
        return {"settings": forms.masked(host, {}), "logins": {}, "secrets_trouble": str(exc)}
    logins = registries.usernames(secrets)
    return {"settings": forms.masked(host, _without_logins(secrets)), "logins": logins}


def _without_logins(secrets: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in secrets.items() if key != registries.KEY}

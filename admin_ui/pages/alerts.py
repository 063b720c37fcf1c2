"""What somebody has to see on every page, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from admin_ui.pages import base
from hosts.models import DockerHost, HostLease, HostState, Installation
from supervisor.models import SupervisorProcess
from supervisor.processes import is_supervised

_NAMED = 3
# A worker that is replaced, or a host that is new, is nothing to tell of.
_A_WHILE = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class Alert:
    """A sentence, and what to do. `level` is Bootstrap's: danger or warning."""

    level: str
    sentence: str
    remedy: str = ""
    url: str = ""


@base.needs()
def alerts(request: HttpRequest) -> HttpResponse:
    """The part of every page that says what is wrong."""
    return base.part(request, "admin_ui/_alerts.html", {"alerts": current(request.user)})


def current(user: AbstractBaseUser | AnonymousUser) -> list[Alert]:
    """What is wrong now, as far as this person may know of it. At most four queries."""
    may = user.has_perm  # type: ignore[union-attr]  # the anonymous have it too
    supervised = is_supervised()
    found = [] if supervised else [_nobody(may("supervisor.view_supervisorprocess"))]
    if may("jobs.view_containerjob") and (pause := Installation.objects.exclude(paused_at=None).first()):
        found.append(_paused(pause))
    if may("supervisor.view_supervisorprocess"):
        found += [_crash_looping(one) for one in _crash_loopers()]
    if may("hosts.view_dockerhost"):
        found += [_of_host(host) for host in _bad_hosts(supervised=supervised)]
    return found


def _nobody(may_see: bool) -> Alert:
    return Alert(
        "danger",
        _("No supervisor is running: no job is started, and nobody watches those that run."),
        _("Start one with: manage.py supervise"),
        reverse("admin:supervisor") if may_see else "",
    )


def _paused(pause: Installation) -> Alert:
    sentence = _("All claims are paused by %(by)s: no job is started on any host.") % {"by": pause.paused_by}
    remedy = _("Resume them on the supervisor page, or with: manage.py supervisor resume --all")
    return Alert("warning", sentence, remedy, reverse("admin:supervisor"))


def _crash_loopers() -> list[SupervisorProcess]:
    looping = SupervisorProcess.objects.alive().filter(is_crash_looping=True).select_related("host")
    return list(looping.only("role", "last_exit", "host__name").order_by("host__name")[:_NAMED])


def _crash_looping(process: SupervisorProcess) -> Alert:
    who = _("The worker of host %(name)s") % {"name": process.host.name} if process.host else _("The clerk")
    says = {"who": who, "exit": process.last_exit.rstrip(".")}
    sentence = _("%(who)s crashes again and again: %(exit)s.") % says
    return Alert("danger", sentence, _("The supervisor's log has the cause."), reverse("admin:supervisor"))


def _bad_hosts(*, supervised: bool) -> list[DockerHost]:
    bad = Q(state__in=[HostState.UNREACHABLE, HostState.PARKED])
    if supervised:  # else no host has a worker, and that is said already
        held = HostLease.objects.filter(
            host=OuterRef("pk"), owner__isnull=False, expires_at__gt=Now() - _A_WHILE
        )
        held = held.filter(Q(released_at=None) | Q(released_at__gt=Now() - _A_WHILE))
        bad |= Q(~Exists(held), created_at__lt=Now() - _A_WHILE)
    hosts = DockerHost.objects.filter(bad, is_active=True, archived_at=None).order_by("name")
    return list(hosts.only("id", "name", "state", "state_reason")[:_NAMED])


_STATES: dict[str, Any] = {
    HostState.UNREACHABLE: gettext_lazy("unreachable"),
    HostState.PARKED: gettext_lazy("parked"),
}
_REMEDIES: dict[str, Any] = {
    HostState.UNREACHABLE: gettext_lazy("Start its engine, or mend the way to it."),
    HostState.PARKED: gettext_lazy("Correct its settings; its worker starts again by itself."),
}


def _of_host(host: DockerHost) -> Alert:
    url = reverse("admin:host", args=[host.pk])
    if host.state not in _REMEDIES:
        remedy = _("The supervisor page says what became of it.")
        return Alert("danger", _("No worker holds host %(name)s.") % {"name": host.name}, remedy, url)
    reason = host.state_reason.removeprefix(f"{host.name}: ").rstrip(".")
    says = {"name": host.name, "state": _STATES[host.state], "reason": reason}
    sentence = _("Host %(name)s is %(state)s: %(reason)s.") if reason else _("Host %(name)s is %(state)s.")
    return Alert("danger", sentence % says, str(_REMEDIES[host.state]), url)

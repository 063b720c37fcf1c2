"""What somebody has to see on every page, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from admin_ui.pages import base
from hosts.models import DockerHost, HostState
from supervisor.processes import is_supervised

_NAMED = 3


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
    """What is wrong now, as far as this person may know of it. At most two queries."""
    found = []
    if not is_supervised():
        found.append(
            Alert(
                "danger",
                _("No supervisor is running: no job is started, and nobody watches those that run."),
                _("Start one with: manage.py supervise"),
            )
        )
    if user.has_perm("hosts.view_dockerhost"):  # type: ignore[union-attr]  # the anonymous have it too
        found += [_of_host(host) for host in _bad_hosts()]
    return found


def _bad_hosts() -> list[DockerHost]:
    bad = (HostState.UNREACHABLE, HostState.PARKED)
    hosts = DockerHost.objects.filter(is_active=True, archived_at=None, state__in=bad).order_by("name")
    return list(hosts.only("id", "name", "state", "state_reason")[:_NAMED])


def _of_host(host: DockerHost) -> Alert:
    says = {"name": host.name, "state": host.get_state_display().lower()}
    return Alert(
        "danger",
        _("Host %(name)s is %(state)s.") % says,
        host.state_reason,
        reverse("admin:host", args=[host.pk]),
    )

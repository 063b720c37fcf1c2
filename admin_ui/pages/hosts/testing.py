"""Connection tests as pages show them: what was found, what is to come, and that nobody takes one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from admin_ui.pages import base
from admin_ui.pages.hosts import acts
from hosts.models import DockerHost, HostRequest, RequestVerb
from supervisor.processes import has_master

_ICONS = {
    "ok": "check-circle",
    "warning": "exclamation-triangle",
    "failed": "x-circle",
    "running": "arrow-repeat",
    "skipped": "chevron-right",
    "waiting": "hourglass-split",
}
_WORDS = {
    "ok": gettext_lazy("ok"),
    "warning": gettext_lazy("warning"),
    "failed": gettext_lazy("failed"),
    "running": gettext_lazy("under way"),
    "skipped": gettext_lazy("skipped"),
    "waiting": gettext_lazy("to come"),
}


@dataclass(frozen=True, slots=True)
class Test:
    """One connection test. `verdict` is a sentence, whatever has become of it."""

    request: HostRequest
    state: str
    verdict: str

    @property
    def is_over(self) -> bool:
        """Whether nothing of it will change any more."""
        return self.state in ("ok", "failed")

    @property
    def steps(self) -> list[dict[str, Any]]:
        """What was found, with an icon and a word for each state."""
        known = [one for one in self.request.steps if isinstance(one, dict) and one.get("state") in _ICONS]
        return [{**one, "icon": _ICONS[one["state"]], "word": _WORDS[one["state"]]} for one in known]


def newest(host_id: UUID) -> Test | None:
    """The host's last test step by step, if there was one."""
    asked = HostRequest.objects.filter(host_id=host_id, verb=RequestVerb.EXAMINE)
    request = asked.order_by("-at").first()
    return _read(request) if request else None


def _read(request: HostRequest) -> Test:
    if request.done_at:
        return Test(request, "ok" if request.ok else "failed", request.result)
    if request.expires_at < timezone.now():
        return Test(request, "failed", _nobody(request))
    if request.taken_at:
        return Test(request, "running", _("A supervisor is testing the connection."))
    if not has_master():
        return Test(request, "waiting", _no_supervisor())
    return Test(request, "waiting", _("Waiting for a supervisor to take the test."))


def _nobody(request: HostRequest) -> str:
    if request.taken_at:
        return _("The test was cut off: its supervisor ended. Test again.")
    if not has_master():
        return _no_supervisor()
    return _("No supervisor took the test in time. Those that run may be draining, or bound to other hosts.")


def _no_supervisor() -> str:
    return _("No supervisor is running, and only one can test a host. Start one with: manage.py supervise")


@base.needs("hosts.view_dockerhost")
def test(request: HttpRequest, host_id: UUID) -> HttpResponseBase:
    """The page of a host's test: the last step of adding a host, and a place to come back to."""
    context = _context(request, host_id)
    title = _("Connection test of %(host)s") % {"host": context["host"]}
    return base.render(request, "admin_ui/host_test.html", context, title=title, section="hosts")


@base.needs("hosts.view_dockerhost")
def steps(request: HttpRequest, host_id: UUID) -> HttpResponse:
    """Its live part."""
    return base.part(request, "admin_ui/_host_test.html", _context(request, host_id))


def _context(request: HttpRequest, host_id: UUID) -> dict[str, Any]:
    hosts = DockerHost.objects.filter(archived_at=None).defer("secret_config")
    host = get_object_or_404(hosts, pk=host_id)
    return {
        "host": host,
        "test": newest(host_id),
        "may_change": request.user.has_perm("hosts.change_dockerhost"),
        "takes_jobs": "activate" not in dict(acts.fitting(host)),
    }

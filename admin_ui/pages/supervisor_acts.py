"""What may be asked of supervisors: another worker, and that no new jobs are taken. By the same intents as
the command `supervisor`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from admin_ui.pages import base
from admin_ui.pages.supervisor import COMMAND, MAY_ACT
from hosts import operations, pausing
from hosts.models import DockerHost
from hosts.operations import HostRefused
from jobs.models import Attempt
from supervisor.processes import is_supervised


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that can be asked of a host's supervisor; the texts take `name`."""

    title: str | Promise
    sentence: str | Promise
    button: str | Promise
    asked: str | Promise
    do: Callable[..., Any]
    # Whether it is worth something without anybody who answers.
    is_stored: bool = True


ACTS = {
    "pause": Act(
        gettext_lazy("Pause host %(name)s"),
        gettext_lazy("It takes no new jobs until somebody resumes it. %(running)s"),
        gettext_lazy("Pause it"),
        gettext_lazy("Host %(name)s was asked to take no new jobs."),
        operations.pause,
    ),
    "resume": Act(
        gettext_lazy("Resume host %(name)s"),
        gettext_lazy("It takes new jobs again, also if it was cordoned or draining."),
        gettext_lazy("Resume it"),
        gettext_lazy("Host %(name)s was asked to take jobs again."),
        operations.resume,
    ),
    "restart": Act(
        gettext_lazy("Restart the worker of host %(name)s"),
        gettext_lazy("Another process takes over within seconds. Containers run on. %(running)s"),
        gettext_lazy("Restart the worker"),
        gettext_lazy("The supervisor was asked to restart the worker of host %(name)s."),
        operations.request_restart,
        is_stored=False,
    ),
}


@base.needs(MAY_ACT)
def act(request: HttpRequest, verb: str) -> HttpResponseBase:
    """GET asks, POST does it: of `?host=ID`, or of all hosts at once (pause-all, resume-all)."""
    if verb in ("pause-all", "resume-all"):
        return _all(request, verb)
    if verb not in ACTS:
        raise Http404
    try:
        key = UUID(request.GET.get("host", ""))
    except ValueError:
        raise Http404 from None
    host = get_object_or_404(DockerHost.objects.only("id", "name"), pk=key, archived_at=None)
    return _one(request, ACTS[verb], host)


def _one(request: HttpRequest, act: Act, host: DockerHost) -> HttpResponseBase:
    back = reverse("admin:supervisor")
    if request.method == "POST":
        if not (act.is_stored or is_supervised()):
            return base.done(request, _nobody(), back=back, level=messages.ERROR)
        try:
            act.do(host.pk, by=request.user.get_username())
        except HostRefused as exc:
            return base.done(request, str(exc), back=back, level=messages.ERROR)
        return base.done(request, act.asked % {"name": host.name}, back=back)
    says = {"name": host.name, "running": _running(Attempt.objects.filter(host=host))}
    context = {
        "title": act.title % says,
        "sentence": act.sentence % says,
        "button": act.button,
        "back": back,
    }
    return base.ask(request, context)


def _running(attempts: Any) -> str:
    count = attempts.open().holding_slots().count()
    if not count:
        return _("No job runs there now.")
    return ngettext(
        "%(count)s job runs there, and goes on.", "%(count)s jobs run there, and go on.", count
    ) % {"count": count}


def _nobody() -> str:
    return _("No supervisor is running, so nothing was asked; start one with %(command)s.") % {
        "command": COMMAND
    }


def _all(request: HttpRequest, verb: str) -> HttpResponseBase:
    back = reverse("admin:supervisor")
    is_pause = verb == "pause-all"
    if request.method == "POST":
        return base.done(request, _pause_all(request) if is_pause else _resume_all(), back=back)
    count = Attempt.objects.open().holding_slots().count()
    going_on = ngettext("%(count)s job runs, and goes on.", "%(count)s jobs run, and go on.", count)
    pause = _("No job is started on any host until somebody resumes them all.")
    context = {
        "title": _("Pause all hosts") if is_pause else _("Resume all hosts"),
        "sentence": f"{pause} {going_on % {'count': count}}"
        if is_pause
        else _("Hosts take jobs again. Those that were paused or cordoned one by one stay so."),
        "button": _("Pause all") if is_pause else _("Resume all"),
        "is_dangerous": is_pause,
        "back": back,
    }
    return base.ask(request, context)


def _pause_all(request: HttpRequest) -> str:
    fresh = pausing.pause_all(by=request.user.get_username())
    return (
        _("All claims are paused: no job is started on any host.")
        if fresh
        else _("They were paused already.")
    )


def _resume_all() -> str:
    return _("Jobs are started again.") if pausing.resume_all() else _("Nothing was paused.")

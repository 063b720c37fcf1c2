"""What operators do to one host or many: each act asks first, and is answered as a wish."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django_htmx.http import HttpResponseClientRedirect

from admin_ui.pages import base
from admin_ui.pages.hosts import audit
from hosts import operations
from hosts.models import DockerHost, DrainThen
from hosts.operations import HostRefused
from jobs import host_removal

_NAMED = 10
_MOST = 500
_LONGEST_MINUTES = 60 * 24 * 30


class DrainForm(forms.Form):
    """How long a draining host waits, and what then."""

    deadline_minutes = forms.IntegerField(
        label=gettext_lazy("Minutes to wait"),
        required=False,
        min_value=1,
        max_value=_LONGEST_MINUTES,
        help_text=gettext_lazy("Empty: as long as the running jobs take."),
    )
    then = forms.ChoiceField(
        label=gettext_lazy("Jobs that still run then"), choices=DrainThen.choices, initial=DrainThen.WAIT
    )

    def options(self) -> dict[str, Any]:
        """For `operations.drain`."""
        minutes = self.cleaned_data["deadline_minutes"]
        seconds = minutes * 60 if minutes else None
        return {"deadline_seconds": seconds, "then": DrainThen(self.cleaned_data["then"])}

    def in_words(self) -> str:
        """What was chosen."""
        minutes = self.cleaned_data["deadline_minutes"]
        return f"within {minutes} min, then {self.cleaned_data['then']}" if minutes else "without a deadline"


@dataclass(frozen=True, slots=True)
class Act:
    """A verb: what it is called, what it means, and what carries it out for one host."""

    label: str | Promise
    icon: str
    meaning: str | Promise
    done: str | Promise
    run: Callable[..., object]
    is_dangerous: bool = False
    form: type[DrainForm] | None = None
    permission: str = "hosts.change_dockerhost"


ACTS: dict[str, Act] = {
    "test": Act(
        gettext_lazy("Test"),
        "plug",
        gettext_lazy("A supervisor tests the connection step by step; nothing is changed at the engine."),
        gettext_lazy("A test was asked for"),
        operations.request_examination,
    ),
    "cordon": Act(
        gettext_lazy("Cordon"),
        "pause",
        gettext_lazy("It takes no new jobs; the running ones go on."),
        gettext_lazy("Takes no new jobs"),
        operations.cordon,
    ),
    "drain": Act(
        gettext_lazy("Drain"),
        "hourglass-split",
        gettext_lazy("It takes no new jobs, and waits for the running ones to end."),
        gettext_lazy("Draining"),
        operations.drain,
        form=DrainForm,
    ),
    "activate": Act(
        gettext_lazy("Activate"),
        "play",
        gettext_lazy("It takes jobs, also if it was cordoned, draining or switched off."),
        gettext_lazy("Takes jobs"),
        operations.activate,
    ),
    "off": Act(
        gettext_lazy("Switch off"),
        "stop",
        gettext_lazy("It takes no new jobs, and once the running ones have ended nobody watches it."),
        gettext_lazy("Switched off"),
        operations.switch_off,
    ),
    "on": Act(
        gettext_lazy("Switch on"),
        "check-circle",
        gettext_lazy("It is watched again; whether it takes jobs is as it was before."),
        gettext_lazy("Switched on"),
        operations.switch_on,
    ),
    "remove": Act(
        gettext_lazy("Remove"),
        "trash",
        gettext_lazy(
            "It is taken out of use for good: deleted if it never had a job, else archived with its history. "
            "One that still has jobs is refused."
        ),
        gettext_lazy("Removed"),
        host_removal.remove,
        is_dangerous=True,
        permission="hosts.delete_dockerhost",
    ),
}
IN_BULK = tuple(ACTS.items())


def fitting(host: DockerHost) -> list[tuple[str, Act]]:
    """The acts that change anything about a host as it is now."""
    takes_jobs = host.is_active and host.availability == "active"
    left_out = {"on" if host.is_active else "off"}
    left_out |= {"activate"} if takes_jobs else set()
    left_out |= {"cordon"} if host.availability != "active" or not host.is_active else set()
    left_out |= set() if host.is_active else {"drain"}
    return [(verb, found) for verb, found in ACTS.items() if verb not in left_out]


@base.needs("hosts.view_dockerhost")
def act(request: HttpRequest, verb: str) -> HttpResponseBase:
    """Ask (GET) and do (POST) one of them to the hosts that the address names: `?id=...&id=...`."""
    found = ACTS.get(verb)
    if found is None:
        raise Http404
    return _guarded(found)(request, verb)


def _guarded(act: Act) -> Callable[..., HttpResponseBase]:
    return base.needs(act.permission)(_ask_or_do)


def _ask_or_do(request: HttpRequest, verb: str) -> HttpResponseBase:
    wanted, hosts = ACTS[verb], _named(request.GET.getlist("id"))
    if not hosts:
        text = _("None of these hosts is there any more; choose one or more.")
        return base.done(request, text, back=reverse("admin:hosts"), level=messages.WARNING)
    form = wanted.form(request.POST if request.method == "POST" else None) if wanted.form else None
    if request.method == "POST" and (form is None or form.is_valid()):
        return _do(request, verb, hosts, form)
    return base.ask(request, _question(request, wanted, hosts, form))


def _named(ids: Sequence[str]) -> list[DockerHost]:
    keys = []
    for text in ids[:_MOST]:
        try:
            keys.append(UUID(text))
        except ValueError:
            continue
    hosts = DockerHost.objects.filter(pk__in=keys, archived_at=None)
    return list(hosts.only("id", "name").order_by("name"))


def _question(
    request: HttpRequest, wanted: Act, hosts: Sequence[DockerHost], form: DrainForm | None
) -> dict[str, Any]:
    count = len(hosts)
    says = {"act": wanted.label, "count": count}
    title = ngettext("%(act)s %(count)d host", "%(act)s %(count)d hosts", count) % says
    return {
        "title": title,
        "sentence": wanted.meaning,
        "items": [host.name for host in hosts[:_NAMED]],
        "left_out": max(0, count - _NAMED),
        "button": title,
        "is_dangerous": wanted.is_dangerous,
        "form": form,
        "back": _back(hosts),
    }


def _do(
    request: HttpRequest, verb: str, hosts: Sequence[DockerHost], form: DrainForm | None
) -> HttpResponseBase:
    options: dict[str, Any] = form.options() if form else {}
    if verb == "test":
        options = {"by": request.user.get_username(), "among": len(hosts)}
    done, refused = [], []
    for host in hosts:
        try:
            ACTS[verb].run(host.pk, **options)
            done.append(host)
        except HostRefused as exc:
            refused.append(str(exc))
        except DockerHost.DoesNotExist:
            refused.append(_("%(host)s is not there any more.") % {"host": host.name})
    if verb != "test":  # its request is the note of it
        audit.note(request, done, f"{verb} {form.in_words()}" if form else verb)
    names = ", ".join(host.name for host in done[:_NAMED]) + (" ..." if len(done) > _NAMED else "")
    parts = [f"{ACTS[verb].done}: {names}."] if done else []
    level = messages.WARNING if refused else messages.SUCCESS
    text = " ".join([*parts, *refused[:_NAMED]])
    if verb == "remove" and done:
        return _leave(request, text, level)
    return base.done(request, text, back=_back(hosts), level=level)


def _leave(request: HttpRequest, text: str, level: int) -> HttpResponseBase:
    """After a removal: not to the page of what is gone."""
    overview = reverse("admin:hosts")
    if base.is_part(request) and request.htmx.current_url_abs_path != overview:  # type: ignore[attr-defined]
        messages.add_message(request, level, text)
        return HttpResponseClientRedirect(overview)
    return base.done(request, text, back=overview, level=level)


def _back(hosts: Sequence[DockerHost]) -> str:
    return reverse("admin:host", args=[hosts[0].pk]) if len(hosts) == 1 else reverse("admin:hosts")

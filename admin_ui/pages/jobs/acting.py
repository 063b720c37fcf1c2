"""Acts on chosen jobs: a dialog that says how many and what, then the act, in pieces if it takes long."""

from __future__ import annotations

from collections import Counter
from functools import partial
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django_htmx.http import HttpResponseClientRedirect

from admin_ui import acts
from admin_ui.acts import Outcome, Verb
from admin_ui.pages import base
from admin_ui.pages.jobs.filters import Filters
from admin_ui.pages.jobs.keyset import Key
from admin_ui.pages.jobs.search import MOST_AT_ONCE, Search
from jobs.models import ContainerJob
from jobs.states import JobStatus

_NAMED = 10
# How long one answer may take: a dialog then tells how far it is, and goes on; a page has a button for that.
_DIALOG_SECONDS, _PAGE_SECONDS = 1.5, 15.0


class Ids(forms.CharField):
    """Jobs by their keys, as one field: there may be more of them than a form may have fields."""

    widget = forms.HiddenInput

    def prepare_value(self, value: object) -> object:
        return " ".join(map(str, value)) if isinstance(value, list | tuple) else value

    def to_python(self, value: object) -> list[UUID]:  # type: ignore[override]  # its value is a list
        try:
            return [UUID(name) for name in str(value or "").split()]
        except ValueError:
            raise forms.ValidationError(_("That is no job.")) from None

    def run_validators(self, value: list[UUID]) -> None:
        if len(value) > MOST_AT_ONCE:
            raise forms.ValidationError(_("At most %(most)d at once.") % {"most": MOST_AT_ONCE})


class Confirmed(forms.Form):
    """What was confirmed: these jobs, whatever the filters would find by now; and how far it went."""

    ids = Ids(required=False)
    done = forms.IntegerField(required=False, min_value=0, widget=forms.HiddenInput)
    refused = forms.IntegerField(required=False, min_value=0, widget=forms.HiddenInput)
    reasons = forms.CharField(required=False, widget=forms.HiddenInput)
    force = forms.BooleanField(
        required=False, label=gettext_lazy("Without grace: kill what runs at once"), widget=forms.HiddenInput
    )

    def outcome(self) -> Outcome:
        """What came of those that were asked before."""
        data = self.cleaned_data
        reasons = data["reasons"].splitlines()[: acts.MOST_NAMED]
        return Outcome(done=data["done"] or 0, refused=data["refused"] or 0, reasons=reasons)


class ConfirmedForce(Confirmed):
    """With the choice of verbs that end what runs."""

    force = forms.BooleanField(required=False, label=gettext_lazy("Without grace: kill what runs at once"))


def act(request: HttpRequest, verb: str) -> HttpResponseBase:
    """`?id=...`, one or many, or `?all=1` with the list's filters and `top`; `back` is where to go then."""
    if verb not in _GUARDED:
        raise Http404
    return _GUARDED[verb](request)


def _act(request: HttpRequest, verb: Verb) -> HttpResponseBase:
    if request.method == "POST":
        return _carry_out(request, verb)
    if request.method != "GET":
        return HttpResponse(status=405, headers={"Allow": "GET, POST"})
    ids, has_more = _chosen(request)
    if ids is None:
        return _nothing(request, verb, _("The filters cannot be understood, so nothing is done."))
    found = {job.pk: job for job in _jobs(ids)}
    jobs = [found[key] for key in ids if key in found]
    if not jobs:
        return _nothing(request, verb, _("No job is chosen, or those chosen are gone by now."))
    return _ask(request, verb, jobs, has_more=has_more)


_GUARDED = {
    name: base.needs("jobs.view_containerjob", verb.permission)(partial(_act, verb=verb))
    for name, verb in acts.VERBS.items()
}


def _jobs(ids: list[UUID]) -> list[ContainerJob]:
    return list(
        ContainerJob.objects.filter(pk__in=ids)
        .select_related("template")
        .only("id", "name", "status", "template__name")
    )


def _chosen(request: HttpRequest) -> tuple[list[UUID] | None, bool]:
    """The jobs that the address names, and whether more are meant than may be taken at once."""
    if request.GET.get("all"):
        wanted = Filters(request.GET).read()
        if wanted is None:
            return None, False
        ids = Search(wanted).ids(MOST_AT_ONCE + 1, Key.parse(request.GET.get("top", "")))
    else:
        ids = list(dict.fromkeys(_uuids(request.GET.getlist("id"))))
    return ids[:MOST_AT_ONCE], len(ids) > MOST_AT_ONCE


def _uuids(names: list[str]) -> list[UUID]:
    try:
        return [UUID(name) for name in names]
    except ValueError:
        raise Http404 from None


def _ask(request: HttpRequest, verb: Verb, jobs: list[ContainerJob], *, has_more: bool) -> TemplateResponse:
    is_waiting = all(job.status == JobStatus.PENDING for job in jobs)
    form = ConfirmedForce if verb.can_force and not is_waiting else Confirmed
    button = ngettext("%(verb)s %(count)d job", "%(verb)s %(count)d jobs", len(jobs))
    # What waits is not stopped, it is held: the same wish by another name.
    label = _("Hold") if verb.name == "stop" and is_waiting else verb.label
    words = {"verb": label, "count": len(jobs)}
    context = {
        "title": f"{button % words}?",
        "sentence": _sentence(verb, jobs, has_more=has_more),
        "items": [_named(job) for job in jobs[:_NAMED]],
        "left_out": max(0, len(jobs) - _NAMED),
        "button": button % words,
        "is_dangerous": verb.is_dangerous,
        "form": form(initial={"ids": [job.pk for job in jobs]}),
        "back": _back(request),
    }
    return base.ask(request, context)


def _named(job: ContainerJob) -> str:
    return f"{job} ({job.template.name}, {job.get_status_display().lower()})"


def _sentence(verb: Verb, jobs: list[ContainerJob], *, has_more: bool) -> str:
    statuses = Counter(job.status for job in jobs)
    told = ", ".join(f"{statuses[one]} {one.label.lower()}" for one in JobStatus if one in statuses)
    text = f"{_('Chosen')}: {told}. {verb.means}"
    if has_more:
        text += " " + _(
            "More than %(most)d jobs match: these are the newest %(most)d of them, and the others stay as "
            "they are. Do it again for the next ones."
        ) % {"most": MOST_AT_ONCE}
    return text


def _nothing(request: HttpRequest, verb: Verb, sentence: str) -> TemplateResponse:
    context = {"title": verb.label, "sentence": sentence, "back": _back(request)}
    return base.ask(request, context, template="admin_ui/jobs/act_nothing.html")


def _carry_out(request: HttpRequest, verb: Verb) -> HttpResponse:
    form = Confirmed(request.POST)
    if not form.is_valid():
        return HttpResponse(str(form.errors.as_text()), status=400, content_type="text/plain")
    ids = form.cleaned_data["ids"] or list(dict.fromkeys(_uuids(request.GET.getlist("id"))))[:MOST_AT_ONCE]
    force = form.cleaned_data["force"]
    seconds = _DIALOG_SECONDS if base.is_part(request) else _PAGE_SECONDS
    outcome = acts.carry_out(verb, ids, request.user, force=force, seconds=seconds, before=form.outcome())
    if outcome.left:
        return _go_on(request, verb, outcome, force=force)
    return _done(request, verb, outcome, is_single=len(ids) == 1)


def _go_on(request: HttpRequest, verb: Verb, outcome: Outcome, *, force: bool) -> TemplateResponse:
    asked = outcome.done + outcome.refused
    initial = {
        "ids": list(outcome.left),
        "done": outcome.done,
        "refused": outcome.refused,
        "reasons": "\n".join(outcome.reasons),
        "force": force,
    }
    context = {
        "title": verb.label,
        "asked": asked,
        "total": asked + len(outcome.left),
        "form": Confirmed(initial=initial, auto_id="going_%s"),
        "back": _back(request),
    }
    return base.ask(request, context, template="admin_ui/jobs/act_progress.html")


def _done(request: HttpRequest, verb: Verb, outcome: Outcome, *, is_single: bool) -> HttpResponse:
    """Where the job's own page asked, the outcome may be on another page: the new job's, or none at all."""
    level = messages.WARNING if outcome.refused else messages.SUCCESS
    message = outcome.sentence(verb)
    back = _back(request)
    if "back" in request.GET and is_single and outcome.done:
        if verb.name == "restart" and outcome.made:
            back = reverse("admin:job", args=[outcome.made])
        if verb.name in ("restart", "delete") and base.is_part(request):
            messages.add_message(request, level, message)
            return HttpResponseClientRedirect(back)
    return base.done(request, message, back=back, level=level)


def _back(request: HttpRequest) -> str:
    """A page of this site."""
    wanted = request.GET.get("back", "")
    is_ours = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if is_ours else reverse("admin:jobs")

"""What may be done with a template from its page: run a job of it now, archive it, take it back."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django_htmx.http import HttpResponseClientRedirect

from admin_ui.pages import base
from admin_ui.pages.overview.board import TEMPLATES
from jobs import operations, shelf
from jobs.models import ContainerTemplate
from jobs.operations import Refused

_NEEDS = {
    "run": "jobs.add_containerjob",
    "archive": "jobs.change_containertemplate",
    "unarchive": "jobs.change_containertemplate",
}


@base.needs(TEMPLATES)
def act(request: HttpRequest, pk: UUID, verb: str) -> HttpResponseBase:
    """GET asks, POST does it: run, archive, unarchive."""
    if verb not in _NEEDS:
        raise Http404
    if not request.user.has_perm(_NEEDS[verb]):
        raise PermissionDenied
    template = get_object_or_404(ContainerTemplate, pk=pk)
    if request.method != "POST":
        return base.ask(request, _question(template, verb))
    return _run(request, template) if verb == "run" else _shelve(request, template, verb)


def _question(template: ContainerTemplate, verb: str) -> dict[str, object]:
    says = {"name": template.name}
    title, sentence, button = {
        "run": (
            _("Test run of %(name)s"),
            _("One job of this template is submitted as it is, and its page opens."),
            _("Run it"),
        ),
        "archive": (
            _("Archive %(name)s"),
            _("No new jobs of it can be submitted. Those that wait or run go on, and its history stays."),
            _("Archive it"),
        ),
        "unarchive": (_("Use %(name)s again"), _("Jobs of it can be submitted again."), _("Use it again")),
    }[verb]
    back = reverse("admin:template", args=[template.pk])
    return {"title": title % says, "sentence": sentence, "button": button, "back": back}


def _run(request: HttpRequest, template: ContainerTemplate) -> HttpResponseBase:
    try:
        job = operations.submit(
            template,
            name=_("Test run of %(name)s") % {"name": template.name},
            user=request.user,  # type: ignore[arg-type]  # staff are logged in
            who=request.user.get_username(),
        )
    except ValidationError as exc:
        back = reverse("admin:template", args=[template.pk])
        return base.done(request, " ".join(exc.messages), back=back, level=messages.ERROR)
    url = reverse("admin:job", args=[job.pk])
    return HttpResponseClientRedirect(url) if base.is_part(request) else HttpResponseRedirect(url)


def _shelve(request: HttpRequest, template: ContainerTemplate, verb: str) -> HttpResponseBase:
    back = reverse("admin:template", args=[template.pk])
    is_archiving = verb == "archive"
    who: int = request.user.pk  # type: ignore[assignment]  # staff are logged in
    try:
        with transaction.atomic():
            (shelf.archive if is_archiving else shelf.unarchive)(template.pk)
            note = _("Archived.") if is_archiving else _("Taken back into use.")
            LogEntry.objects.log_actions(who, [template], CHANGE, note, single_object=True)
    except Refused as exc:
        return base.done(request, str(exc), back=back, level=messages.ERROR)
    said = _("%(name)s is archived.") if is_archiving else _("%(name)s is in use again.")
    return base.done(request, said % {"name": template.name}, back=back)

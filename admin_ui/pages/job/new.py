"""The page that submits a job: pick a template, change what shall be otherwise, see what will run, run it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from admin_ui.pages import base
from admin_ui.pages.job import preview, source
from admin_ui.pages.job.forms import JobForm, VariableFormSet, VariableRows
from admin_ui.pages.job.source import Source
from jobs import operations
from jobs.models import ContainerTemplate

ADD, VIEW = "jobs.add_containerjob", "jobs.view_containerjob"
_ENVIRONMENT = "env"
_MOST_TEMPLATES = 60


@base.needs(ADD)
def page(request: HttpRequest) -> HttpResponseBase:
    """`?template=<id>`, `?from=<job>` (a copy to edit), or neither: the list of templates with `?q=`.

    `?pick=1` with `from`: a copy, but of another template.
    """
    copied = _source(request, request.POST.get("source") or request.GET.get("from"))
    template = _template(request, copied)
    if template is None:
        return _pick(request, copied)
    if request.method == "POST":
        form, rows = _bound(request, template, copied)
        if form.is_valid() and rows.is_valid() and (response := _submit(request, form, rows)):
            return response
    else:
        form = _form(request, template, initial=source.initial(template, copied))
        rows = VariableFormSet(
            initial=source.rows(copied),
            prefix=_ENVIRONMENT,
            form_kwargs={"kept": copied.kept if copied else {}},
        )
    return _show(request, template, form, rows, copied)


@base.needs(ADD)
def part_preview(request: HttpRequest) -> HttpResponse:
    """What would run, of the form as it is now."""
    copied = _source(request, request.POST.get("source"))
    template = _template(request, copied)
    if template is None:
        return HttpResponse(status=204)
    form, rows = _bound(request, template, copied)
    form.is_valid()
    seen = preview.of_form(form.cleaned_data, rows.given(), template, may_see_hosts=_may_see_hosts(request))
    return base.part(request, "admin_ui/job/_preview.html", seen)


def _source(request: HttpRequest, job_id: str | None) -> Source | None:
    if not job_id:
        return None
    if not request.user.has_perm(VIEW):
        raise PermissionDenied
    return source.read(job_id)


def _template(request: HttpRequest, copied: Source | None) -> ContainerTemplate | None:
    """The one that is asked for, else that of the job that is copied; None: it is to be picked."""
    asked = request.POST.get("template") or request.GET.get("template", "")
    if request.method == "GET" and "pick" in request.GET:
        return None
    try:
        wanted = UUID(asked) if asked else copied and copied.job.template_id
    except ValueError:
        return None
    return ContainerTemplate.objects.filter(pk=wanted, archived_at=None).first() if wanted else None


def _may_see_hosts(request: HttpRequest) -> bool:
    return bool(request.user.has_perm("hosts.view_dockerhost"))


def _form(request: HttpRequest, template: ContainerTemplate, *args: Any, **kwargs: Any) -> JobForm:
    return JobForm(*args, may_see_hosts=_may_see_hosts(request), template=template, **kwargs)


def _bound(
    request: HttpRequest, template: ContainerTemplate, copied: Source | None
) -> tuple[JobForm, VariableRows]:
    kept = copied.kept if copied else {}
    rows = VariableFormSet(request.POST, prefix=_ENVIRONMENT, form_kwargs={"kept": kept})
    return _form(request, template, request.POST), rows


def _submit(request: HttpRequest, form: JobForm, rows: VariableRows) -> HttpResponse | None:
    """Submit it and go to its page; None if it was refused, which the form says then."""
    plain, secret = rows.given()
    try:
        job = operations.submit(
            form.cleaned_data["template"],
            **form.overrides(),
            environment=plain,
            secret_environment=secret,
            user=request.user,  # type: ignore[arg-type]  # staff only
            who=request.user.get_username(),
        )
    except ValidationError as exc:
        _tell(form, exc)
        return None
    return HttpResponseRedirect(reverse("admin:job", args=[job.pk]))


def _tell(form: JobForm, error: ValidationError) -> None:
    """Each error at the field that it is about."""
    if not hasattr(error, "error_dict"):
        form.add_error(None, error)
        return
    for name, errors in error.error_dict.items():
        field = name.removeprefix("override_")
        shown = field if field in form.fields and not form.fields[field].widget.is_hidden else None
        form.add_error(shown, ValidationError([one for each in errors for one in each.messages]))


def _show(
    request: HttpRequest,
    template: ContainerTemplate,
    form: JobForm,
    rows: VariableRows,
    copied: Source | None,
) -> HttpResponseBase:
    may_see_hosts = _may_see_hosts(request)
    if form.is_bound:
        seen = preview.of_form(form.cleaned_data, rows.given(), template, may_see_hosts=may_see_hosts)
    else:
        seen = preview.of_form(
            form.initial, preview.initial_rows(copied), template, may_see_hosts=may_see_hosts
        )
    lost = form.is_bound and any(row["is_secret"].value() and not row.is_kept for row in rows)
    context = {
        **seen,
        "template": template,
        "form": form,
        "rows": rows,
        "copied": copied,
        "secrets_lost": lost,
        "may_see_hosts": may_see_hosts,
        "template_names": preview.names_of(template),
        "main_fields": [form[name] for name in ("name", "image", "command")],
        "place_fields": [form[name] for name in ("priority", "limit_key")],
        "retry_fields": [form[name] for name in ("max_attempts", "start_deadline_seconds")],
    }
    return base.render(
        request, "admin_ui/job/new.html", context, title=gettext_lazy("New job"), section="jobs"
    )


def _pick(request: HttpRequest, copied: Source | None) -> HttpResponseBase:
    words = request.GET.get("q", "").strip().replace("\x00", "")
    found = ContainerTemplate.objects.filter(archived_at=None).order_by("name")
    for word in words.split()[:10]:
        found = found.filter(
            Q(name__icontains=word) | Q(docker_image__icontains=word) | Q(description__icontains=word)
        )
    templates = list(
        found.only("id", "name", "description", "docker_image", "command")[: _MOST_TEMPLATES + 1]
    )
    context = {
        "templates": templates[:_MOST_TEMPLATES],
        "has_more": len(templates) > _MOST_TEMPLATES,
        "words": words,
        "copied": copied,
        "trouble": _why_pick(request, copied),
    }
    if base.is_part(request):
        return base.part(request, "admin_ui/job/_templates.html", context)
    return base.render(
        request, "admin_ui/job/pick.html", context, title=gettext_lazy("New job"), section="jobs"
    )


def _why_pick(request: HttpRequest, copied: Source | None) -> str:
    """Why what was asked for could not be had."""
    if "pick" in request.GET:
        return ""
    if request.POST.get("template") or request.GET.get("template"):
        return _("That template is not there any more, or was archived. Pick another one.")
    if copied:
        return _("The template %(name)s was archived. Pick another one for the copy.") % {
            "name": copied.job.template.name
        }
    if request.GET.get("from"):
        return _("The job to copy is not there any more. Pick a template.")
    return ""

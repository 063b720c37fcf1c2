"""The second factor of whoever is logged in, or half logged in: giving a code, setting it up, taking it away.

Only whoever has given a code may see or change what is set up. Who has set one up and gives the password only
gets nothing but the question for a code; least of all another key.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, auth
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters

from admin_ui import second_factor, standing
from admin_ui.second_factor import devices

_LONGEST_CODE = 20


class CodeForm(forms.Form):
    """One code of the app, or a recovery code."""

    code = forms.CharField(
        label=_("Code"),
        max_length=_LONGEST_CODE,
        widget=forms.TextInput(
            attrs={"autocomplete": "one-time-code", "autofocus": True, "class": "form-control"}
        ),
    )


@sensitive_post_parameters("code")
@never_cache
@csrf_protect
def page(request: HttpRequest) -> HttpResponse:
    """Whatever comes next for this person."""
    half = standing.half_logged_in(request)
    user = half or request.user
    if not (user.is_authenticated and user.is_active and user.is_staff):
        return HttpResponseRedirect(reverse("admin:login"))
    if request.method == "POST" and "leave" in request.POST:
        auth.logout(request)
        return HttpResponseRedirect(reverse("admin:login"))
    app = devices.app_of(user)
    if app is None:
        return _set_up(request, user)
    return _ask(request, user) if half else _change(request, user)


def _ask(request: HttpRequest, user: Any) -> HttpResponse:
    form = CodeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        if devices.check(request, user, form.cleaned_data["code"]):
            return HttpResponseRedirect(_next(request))
        _wrong(form, user)
    return _show(request, user, "ask", form)


def _set_up(request: HttpRequest, user: Any) -> HttpResponse:
    form = CodeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        if codes := devices.confirm(request, user, form.cleaned_data["code"]):
            return _show(request, user, "codes", None, codes=codes)
        _wrong(form, user)
    device = devices.app_to_set_up(user)
    return _show(request, user, "set up", form, picture=devices.picture(device), words=devices.words(device))


def _change(request: HttpRequest, user: Any) -> HttpResponse:
    form = CodeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        if not devices.check(request, user, form.cleaned_data["code"]):
            _wrong(form, user)
        elif "remove" in request.POST:
            devices.remove(request, user)
            return HttpResponseRedirect(reverse("admin:two_factor"))
        else:
            return _show(request, user, "codes", None, codes=devices.new_codes(user))
    return _show(request, user, "change", form, left=devices.codes_left(user))


def _wrong(form: CodeForm, user: Any) -> None:
    wait = devices.wait_seconds(user)
    again = _("Try again in %(seconds)s s.") % {"seconds": wait} if wait else ""
    form.add_error("code", f"{_('That is no code of yours, or it was used already.')} {again}".strip())


def _next(request: HttpRequest) -> str:
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    is_ours = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if is_ours else reverse("admin:index")


def _show(
    request: HttpRequest, user: Any, step: str, form: CodeForm | None, **context: Any
) -> TemplateResponse:
    values = {
        "title": _("Second factor"),
        "site_title": admin.site.site_title,
        "site_header": admin.site.site_header,
        "step": step,
        "form": form,
        "person": user.get_username(),
        "next": _next(request),
        "is_required": second_factor.is_required(),
        "is_missing": step == "set up" and second_factor.is_required(),
        **context,
    }
    return TemplateResponse(request, "admin_ui/two_factor.html", values)

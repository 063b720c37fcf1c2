"""What every page of ours is made of: who may see it, its frame, its live parts, its dialogs.

A live part is a piece of a page that asks for itself again (`{% live %}`). It is the same template that the
page included, so the two cannot differ. It carries a hash of what it says: while that stays the same, the
answer is empty, and nothing on the screen moves.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.functional import Promise
from django_htmx.http import HttpResponseClientRedirect, HttpResponseStopPolling

View: TypeAlias = Callable[..., HttpResponseBase]

PART_HEADER = "X-Part"
_LEVELS = {messages.SUCCESS: "success", messages.WARNING: "warning", messages.ERROR: "danger"}


def needs(*permissions: str) -> Callable[[View], View]:
    """A page for staff who have all of these permissions; others are refused with 403, strangers log in.

    A live part of a page whose viewer was logged out meanwhile sends the whole page to the login.
    """

    def wrap(view: View) -> View:
        @functools.wraps(view)
        def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not request.user.has_perms(permissions):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        return _to_login(admin.site.admin_view(wrapped), wrapped)

    return wrap


def _to_login(guarded: View, view: View) -> View:
    @functools.wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if is_part(request) and not admin.site.has_permission(request):
            here = request.htmx.current_url_abs_path or reverse("admin:index")  # type: ignore[attr-defined]
            return HttpResponseClientRedirect(f"{reverse('admin:login')}?next={here}")
        return guarded(request, *args, **kwargs)

    return wrapped


def is_part(request: HttpRequest) -> bool:
    """Whether a script of a page of ours asks, and only a piece of it is wanted."""
    return bool(getattr(request, "htmx", False))


def render(
    request: HttpRequest,
    template: str,
    context: Mapping[str, Any],
    *,
    title: str | Promise,
    section: str = "",
    status: int = 200,
) -> TemplateResponse:
    """A whole page, in the frame of the site; `section` is the entry of the menu that it belongs to."""
    frame = {**admin.site.each_context(request), "title": title, "section": section}
    return TemplateResponse(request, template, {**frame, **context}, status=status)


def part(
    request: HttpRequest, template: str, context: Mapping[str, Any], *, is_final: bool = False
) -> HttpResponse:
    """A live part: 204 if the page has it already, 286 (which ends the asking) if it is final."""
    html = render_to_string(template, dict(context), request)
    stamp = hashlib.sha256(html.encode()).hexdigest()[:16]
    if is_final:
        response: HttpResponse = HttpResponseStopPolling(html)
    elif request.headers.get(PART_HEADER) == stamp:
        response = HttpResponse(status=204)
    else:
        response = HttpResponse(html)
    response[PART_HEADER] = stamp
    response["Cache-Control"] = "no-store"
    return response


def done(request: HttpRequest, message: str, *, back: str, level: int = messages.SUCCESS) -> HttpResponse:
    """After an act: a toast and a refresh of the live parts, or a message on the page `back`."""
    if not is_part(request):
        messages.add_message(request, level, message)
        return HttpResponseRedirect(back)
    response = HttpResponse(status=204)
    response["HX-Trigger"] = json.dumps({"acted": {"message": message, "level": _LEVELS.get(level, "info")}})
    return response


def ask(
    request: HttpRequest, context: Mapping[str, Any], *, template: str = "admin_ui/confirm.html"
) -> TemplateResponse:
    """A dialog: on its own page, or in the frame of one that a page already has open.

    `context`: `title`, `sentence` (how many, and what), `items` (their names), `left_out` (how many more),
    `button`, `is_dangerous`, `form` (or None), `back`. Its form posts to the address it came from.
    """
    frame = {} if is_part(request) else admin.site.each_context(request)
    layout = "admin_ui/_dialog.html" if is_part(request) else "admin_ui/dialog_page.html"
    return TemplateResponse(request, template, {**frame, "layout": layout, **context})

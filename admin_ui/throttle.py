"""Whom failed logins are counted against (django-axes), and what is shown to who has had too many of them."""

from __future__ import annotations

import math
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import ngettext

from audit.middleware import address_of as audited_address

_SECONDS = 60
_TOO_MANY_REQUESTS = 429


def address_of(request: HttpRequest) -> str | None:
    """The client's address as the audit has it, too."""
    return audited_address(request, settings.TALLYMAN_TRUSTED_PROXY_COUNT)


def locked_out(request: HttpRequest, *_more: Any) -> HttpResponse:
    """The answer to a login that is not tried any more: 429, and when to come back."""
    seconds = settings.AXES_COOLOFF_TIME.total_seconds()
    minutes = math.ceil(seconds / _SECONDS)
    sentence = ngettext(
        "Too many failed logins. Try again in %(minutes)s minute.",
        "Too many failed logins. Try again in %(minutes)s minutes.",
        minutes,
    ) % {"minutes": minutes}
    context = {**admin.site.each_context(request), "locked_out": sentence}
    response = render(request, "admin/login.html", context, status=_TOO_MANY_REQUESTS)
    response["Retry-After"] = str(int(seconds))
    return response

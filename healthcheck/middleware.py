"""Probes come by whatever name or address their sender knows; they are answered all the same."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware

_PROBES = ("/health/", "/metrics")


@sync_and_async_middleware
def any_host_for_probes(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Let probes pass ALLOWED_HOSTS: a load balancer asks by address, and is no browser to be led astray.

    No answer to a probe holds an address of this site, so a forged Host has nothing to poison.
    """

    async def asynchronously(request: HttpRequest) -> HttpResponse:
        answer: Awaitable[HttpResponse] = get_response(_named(request))
        return await answer

    def synchronously(request: HttpRequest) -> HttpResponse:
        answer: HttpResponse = get_response(_named(request))
        return answer

    return asynchronously if iscoroutinefunction(get_response) else synchronously


def _named(request: HttpRequest) -> HttpRequest:
    if request.path_info.startswith(_PROBES) and settings.ALLOWED_HOSTS:
        name = settings.ALLOWED_HOSTS[0].removeprefix(".")
        request.META["HTTP_HOST"] = "localhost" if name == "*" else name
        request.META.pop("HTTP_X_FORWARDED_HOST", None)
    return request

"""Headers that every answer has, whoever made it: errors, pages, files of logs and exports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware

# Unless a view says otherwise. What is shown here, nobody else is to see, the next user of a browser neither.
HEADERS = {
    "Cache-Control": "no-store, private",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


@sync_and_async_middleware
def for_every_answer(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Add what of `HEADERS` an answer does not have."""

    async def asynchronously(request: HttpRequest) -> HttpResponse:
        return _with_headers(await get_response(request))

    def synchronously(request: HttpRequest) -> HttpResponse:
        return _with_headers(get_response(request))

    return asynchronously if iscoroutinefunction(get_response) else synchronously


def _with_headers(response: HttpResponse) -> HttpResponse:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response

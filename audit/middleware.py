"""Every request's actor, and the requests that were refused for want of a right."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware

from audit import actors, acts
from audit.actors import Actor, Speaker
from audit.entries import Entry
from audit.words import Door, Outcome

_FORBIDDEN = 403
_SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")


def address_of(request: HttpRequest, proxies: int) -> str | None:
    """Where the request came from, with so many proxies of ours before us; None if that cannot be known.

    Each proxy adds the address that it saw at the end of X-Forwarded-For; what stands before ours is the
    client's own word.
    """
    text = request.META.get("REMOTE_ADDR", "")
    if proxies:
        seen = [one.strip() for one in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if one.strip()]
        if len(seen) >= proxies:
            text = seen[-proxies]
    return _address(text)


def _address(text: str) -> str | None:
    host = text.strip()
    if host.startswith("["):  # [::1]:443
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:  # 10.0.0.1:443
        host = host.partition(":")[0]
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return None
    mapped = getattr(found, "ipv4_mapped", None)
    return str(mapped or found)


def actor_of(request: HttpRequest) -> Speaker:
    """Whoever is logged in when an act is done: a login changes that during a request."""
    act_id = uuid4()
    address = address_of(request, settings.TALLYMAN_TRUSTED_PROXY_COUNT)

    def speaker() -> Actor:
        user: Any = getattr(request, "user", None)
        known = user is not None and user.is_authenticated
        return Actor(
            door=Door.ADMIN,
            name=user.get_username() if known else "",
            user_key=str(user.pk) if known else "",
            address=address,
            act_id=act_id,
        )

    return speaker


@sync_and_async_middleware
def audited(
    get_response: Callable[[HttpRequest], Any],
) -> Callable[[HttpRequest], HttpResponse] | Callable[[HttpRequest], Awaitable[HttpResponse]]:
    """The middleware; it stands after Django's own of authentication."""
    if iscoroutinefunction(get_response):

        async def later(request: HttpRequest) -> HttpResponse:
            with actors.acting(actor_of(request)):
                response: HttpResponse = await get_response(request)
                if _is_denied(request, response):
                    await sync_to_async(_deny)(request)
                return response

        return later

    def now(request: HttpRequest) -> HttpResponse:
        with actors.acting(actor_of(request)):
            response: HttpResponse = get_response(request)
            if _is_denied(request, response):
                _deny(request)
            return response

    return now


def _is_denied(request: HttpRequest, response: HttpResponse) -> bool:
    return response.status_code == _FORBIDDEN and request.method not in _SAFE


def _deny(request: HttpRequest) -> None:
    """Only of those who are logged in: anybody at all could fill the table."""
    if request.user.is_authenticated:
        says = {"method": request.method, "path": request.path}
        acts.record(Entry(verb="request.denied", kind="page", outcome=Outcome.DENIED, says=says))

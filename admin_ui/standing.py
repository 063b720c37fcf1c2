"""Whether a login still stands: not left alone for too long, not too old, and with its second factor.

A login that does not stand is nobody's: `request.user` is anonymous, for pages, probes and sockets alike, so
that no view has to ask a second question. Nothing is read before somebody asks who is there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, TypeAlias

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware
from django.utils.functional import SimpleLazyObject

from admin_ui import second_factor

# In the session, as seconds since 1970: when it was logged in, and when a person last did something.
BEGAN, SEEN = "began_at", "seen_at"
# A session is written to the database no more often than that because somebody does something.
_WRITE_EVERY_SECONDS = 60.0
_SAFE = {"GET", "HEAD", "OPTIONS"}

Standing: TypeAlias = Literal["", "over", "second factor"]


def begin(sender: object, request: HttpRequest, user: Any, **_kwargs: Any) -> None:
    """Note when somebody logged in, and whether a second factor is due; a receiver of `user_logged_in`."""
    request.session[BEGAN] = request.session[SEEN] = time.time()
    second_factor.begin(request.session, user)


def of(session: Any, user: Any) -> Standing:
    """Why the login does not stand; empty if it does. Reads the database for a second factor only."""
    if not user.is_authenticated:
        return ""
    if is_over(session, time.time()):
        return "over"
    return "" if second_factor.is_given(session, user) else "second factor"


def is_over(session: Any, now: float) -> bool:
    """Whether it was left alone for too long, or is too old."""
    limits = (
        (session.get(SEEN, now), settings.TALLYMAN_SESSION_IDLE_SECONDS),
        (session.get(BEGAN, now), settings.TALLYMAN_SESSION_MAX_SECONDS),
    )
    return any(limit and now - since > limit for since, limit in limits)


def half_logged_in(request: HttpRequest) -> Any:
    """Who has given the right password, and no second factor yet; None if nobody has."""
    # Whoever asks who is there finds it out.
    is_nobody = not request.user.is_authenticated
    return getattr(request, "half_logged_in", None) if is_nobody else None


@sync_and_async_middleware
def only_who_stands(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Make `request.user` anonymous where the login does not stand."""

    async def asynchronously(request: HttpRequest) -> HttpResponse:
        answer: HttpResponse = await get_response(_looked_after(request))
        return answer

    def synchronously(request: HttpRequest) -> HttpResponse:
        answer: HttpResponse = get_response(_looked_after(request))
        return answer

    return asynchronously if iscoroutinefunction(get_response) else synchronously


def _looked_after(request: HttpRequest) -> HttpRequest:
    who = SimpleLazyObject(partial(_who_stands, request, request.user))
    request.user = who  # type: ignore[assignment]

    async def auser() -> Any:
        return await sync_to_async(_known)(who)

    request.auser = auser
    return request


def _known(who: Any) -> Any:
    """The same, once it is known who it is, as that takes a database."""
    bool(who.is_authenticated)
    return who


def _who_stands(request: HttpRequest, user: Any) -> Any:
    if not user.is_authenticated:
        return user
    standing = of(request.session, user)
    if standing == "over":
        request.session.flush()
        return AnonymousUser()
    if standing:
        request.half_logged_in = user  # type: ignore[attr-defined]
        return AnonymousUser()
    _note(request)
    return user


def _note(request: HttpRequest) -> None:
    """That a person did something, which a page that asks for its live parts by itself is not."""
    session, now = request.session, time.time()
    session.setdefault(BEGAN, now)
    if SEEN not in session or (_is_act(request) and now - session[SEEN] >= _WRITE_EVERY_SECONDS):
        session[SEEN] = now


def _is_act(request: HttpRequest) -> bool:
    if request.method not in _SAFE:
        return True
    if getattr(request, "htmx", False):
        match = request.resolver_match
        return match is not None and not str(match.url_name).startswith("part_")
    mode = request.headers.get("Sec-Fetch-Mode")  # browsers say it over HTTPS
    return mode == "navigate" if mode else request.accepts("text/html")

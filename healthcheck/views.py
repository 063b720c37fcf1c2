"""Probes as load balancers read them: 200 or 503, JSON whatever is accepted, HEAD without a body.

Who asks without a right to know gets the bare status. Being healthy with a warning is 200: a load balancer
would take a process away that only asks for attention.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse, JsonResponse
from health_check.base import HealthCheck
from health_check.views import HealthCheckView

from healthcheck import probing
from healthcheck.probing import Result, SingleFlight

_WORST = ("fail", "warn", "ok")


class ProbeView(HealthCheckView):
    """One probe; `is_open`: anybody may see what its checks found. Made by `probe`."""

    flight: SingleFlight[list[Result]] | None = None
    is_open = False

    async def get(self, request: HttpRequest, *_args: Any, **_kwargs: Any) -> HttpResponse:
        results = await self._results()
        body: dict[str, Any] = {"status": overall(results)}
        if self.is_open or await may_see_details(request, results):
            body["checks"] = [asdict(result) for result in results]
        return JsonResponse(body, status=503 if body["status"] == "fail" else 200)

    async def head(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        answer = await self.get(request, *args, **kwargs)
        return HttpResponse(status=answer.status_code, content_type=answer["Content-Type"])

    async def _results(self) -> list[Result]:
        assert self.flight is not None
        try:
            return await self.flight.result()
        except TimeoutError:
            return probing.overdue(self.get_checks())


def probe(checks: Sequence[type[HealthCheck]], *, is_open: bool = False) -> Callable[..., Any]:
    """The view of one probe, with a thread of its own."""
    flight = SingleFlight(lambda: probing.run(check() for check in checks))
    view: Callable[..., Any] = ProbeView.as_view(checks=checks, flight=flight, is_open=is_open)
    return view


def overall(results: list[Result]) -> str:
    """The worst status of all; ok when nothing was checked."""
    found = {result.status for result in results}
    return next((status for status in _WORST if status in found), "ok")


async def may_see_details(request: HttpRequest, results: list[Result]) -> bool:
    """Whether the request comes from staff, or carries the token."""
    if has_token(request):
        return True
    # Sessions are in the database: while that does not answer, nobody can be known, and asking would hang.
    is_away = bool(results) and results[0].status == "fail"
    if is_away or settings.SESSION_COOKIE_NAME not in request.COOKIES:
        return False
    return await is_staff(request)


async def is_staff(request: HttpRequest) -> bool:
    """Whether somebody of the staff is logged in; nobody is while the database is away."""
    try:
        user = await request.auser()
    except (DatabaseError, InterfaceError):
        return False
    return bool(user.is_active and user.is_staff)


def has_token(request: HttpRequest) -> bool:
    """Whether the request carries `Authorization: Bearer` and the token of TALLYMAN_PROBE_TOKEN."""
    kind, _, given = request.headers.get("Authorization", "").partition(" ")
    wanted = settings.TALLYMAN_PROBE_TOKEN
    is_bearer = kind.lower() == "bearer" and bool(wanted)
    return is_bearer and hmac.compare_digest(given.strip().encode(), wanted.encode())

"""Probes as load balancers read them: 200 or 503, JSON unless asked otherwise, HEAD without a body."""

from __future__ import annotations

import asyncio
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from health_check.exceptions import ServiceWarning
from health_check.views import HealthCheckView


class ProbeView(HealthCheckView):
    """Where the library's view answers a failure, and a warning, with 500, this one says 503 and 200."""

    async def get(self, request: HttpRequest, *_args: Any, **_kwargs: Any) -> HttpResponse:
        with self.get_executor() as executor:
            results = await asyncio.gather(*(check.get_result(executor) for check in self.get_checks()))
        failed = any(result.error and not isinstance(result.error, ServiceWarning) for result in results)
        checks = [{**result.check.labels, **_verdict(result)} for result in results]
        body = {"status": "fail" if failed else "ok", "checks": checks}
        return JsonResponse(body, status=503 if failed else 200)

    async def head(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        answer = await self.get(request, *args, **kwargs)
        return HttpResponse(status=answer.status_code, content_type=answer["Content-Type"])


def _verdict(result: Any) -> dict[str, Any]:
    milliseconds = round(result.time_taken * 1000, 1)
    if not result.error:
        return {"status": "ok", "message": "", "milliseconds": milliseconds}
    kind = "warn" if isinstance(result.error, ServiceWarning) else "fail"
    return {"status": kind, "message": result.error.message, "milliseconds": milliseconds}

"""stub: part LOGS."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from jobs.models import Attempt, ContainerJob


def viewer_context(request: HttpRequest, job: ContainerJob, attempt: Attempt | None) -> dict[str, Any]:
    """What `admin_ui/_log_viewer.html` needs."""
    return {"log_job": job, "log_attempt": attempt}

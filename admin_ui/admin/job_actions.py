"""The bulk actions of jobs: each asks `jobs.operations` job by job, and sums up in one message."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from jobs import operations
from jobs.models import ContainerJob
from jobs.operations import Refused

_NAMED_REFUSALS = 5


class JobActions:
    """For the admin class of jobs."""

    message_user: Callable[..., None]

    @admin.action(description="Start: let held and waiting jobs go", permissions=["change"])
    def start(self, request: HttpRequest, jobs: QuerySet[ContainerJob]) -> None:
        self._each(request, jobs, operations.start, "may start")

    @admin.action(description="Stop: hold pending jobs, end running ones", permissions=["change"])
    def stop(self, request: HttpRequest, jobs: QuerySet[ContainerJob]) -> None:
        self._each(request, jobs, operations.stop, "being stopped")

    @admin.action(description="Restart: the same job anew", permissions=["change"])
    def restart(self, request: HttpRequest, jobs: QuerySet[ContainerJob]) -> None:
        user = request.user if request.user.is_authenticated else None
        self._each(request, jobs, partial(operations.restart, user=user), "submitted again")

    @admin.action(description="Cancel", permissions=["change"])
    def cancel(self, request: HttpRequest, jobs: QuerySet[ContainerJob]) -> None:
        self._each(request, jobs, operations.cancel, "being cancelled")

    @admin.action(description="Retry: one more attempt of jobs that did not complete", permissions=["change"])
    def retry(self, request: HttpRequest, jobs: QuerySet[ContainerJob]) -> None:
        self._each(request, jobs, operations.retry, "getting one more attempt")

    def _each(
        self,
        request: HttpRequest,
        jobs: QuerySet[ContainerJob],
        operation: Callable[..., object],
        result: str,
    ) -> None:
        """Ask it of every job, and say in one message what came of it."""
        refused = []
        ids = list(jobs.values_list("pk", flat=True))
        for job_id in ids:
            try:
                operation(job_id, who=request.user.get_username())
            except Refused as exc:
                refused.append(str(exc))
        done = len(ids) - len(refused)
        message = f"{done} {'job' if done == 1 else 'jobs'} {result}."
        if refused:
            message += f" {len(refused)} refused: {' '.join(refused[:_NAMED_REFUSALS])}"
            if len(refused) > _NAMED_REFUSALS:
                message += f" And {len(refused) - _NAMED_REFUSALS} more."
        self.message_user(request, message, messages.WARNING if refused else messages.SUCCESS)

"""The bulk actions of jobs on Django's own list: each sums up in one message (`admin_ui.acts`)."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from admin_ui import acts
from jobs.models import ContainerJob


class JobActions:
    """For the admin class of jobs."""

    message_user: Callable[..., None]

    @admin.action(description="Start: let held and waiting jobs go", permissions=["change"])
    def start(self, request: HttpRequest, jobs: QuerySet[ContainerJob]) -> None:
        self._each(request, jobs, "start")

    @admin.action(description="Stop: hold pending jobs, end running ones", permissions=["change"])
    def stop(self, request: HttpRequest, jobs: QuerySet[ContainerJob]) -> None:
        self._each(request, jobs, "stop")

    @admin.action(description="Restart: the same job anew", permissions=["change"])
    def restart(self, request: HttpRequest, jobs: QuerySet[ContainerJob]) -> None:
        self._each(request, jobs, "restart")

    @admin.action(description="Cancel", permissions=["change"])
    def cancel(self, request: HttpRequest, jobs: QuerySet[ContainerJob]) -> None:
        self._each(request, jobs, "cancel")

    @admin.action(description="Retry: one more attempt of jobs that did not complete", permissions=["change"])
    def retry(self, request: HttpRequest, jobs: QuerySet[ContainerJob]) -> None:
        self._each(request, jobs, "retry")

    def _each(self, request: HttpRequest, jobs: QuerySet[ContainerJob], name: str) -> None:
        """Ask it of every job, and say in one message what came of it."""
        verb = acts.VERBS[name]
        outcome = acts.carry_out(verb, list(jobs.values_list("pk", flat=True)), request.user)
        level = messages.WARNING if outcome.refused else messages.SUCCESS
        self.message_user(request, outcome.sentence(verb), level)

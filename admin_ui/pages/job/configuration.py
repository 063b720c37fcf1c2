"""The tab of what a job runs: command, environment, limits, and what its template has otherwise by now."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from django.http import HttpRequest

from admin_ui import limits
from admin_ui.pages.job import merging, reading
from hosts.errors import ConfigurationError
from jobs import spec as specs
from jobs.freezing import frozen_now
from jobs.models import Attempt, ContainerJob
from jobs.states import JobStatus


def body(request: HttpRequest, job: ContainerJob) -> dict[str, Any]:
    """What `job/_configuration.html` shows: as it was frozen for an attempt, or would be frozen now."""
    attempt = reading.chosen(job, request.GET.get("attempt", ""))
    template = frozen_now(ContainerJob(template=job.template))
    will_be_frozen = attempt is None or (job.status == JobStatus.PENDING and not request.GET.get("attempt"))
    frozen = _as_of_now(job) if will_be_frozen else of_attempt(attempt)  # type: ignore[arg-type]
    shown = describe(frozen, own=_names(job.override_environment), of_template=template["environment"])
    overridden = _overridden(job, frozen)
    return {
        **shown,
        "frozen_for": None if will_be_frozen else attempt,
        "image_digest": "" if will_be_frozen else attempt.image_digest,  # type: ignore[union-attr]
        "differences": merging.differences(frozen, template, overridden),
        "numbers": range(job.attempt_count, max(0, job.attempt_count - 10), -1),
    }


def describe(
    frozen: Mapping[str, Any], *, own: Collection[str], of_template: Collection[str]
) -> dict[str, Any]:
    """A frozen spec for people; the page of a new job shows the same."""
    options = dict(frozen.get("options") or {})
    options.pop("entrypoint", None)
    return {
        "image": frozen["docker_image"],
        "argv": merging.argv(frozen),
        "working_directory": frozen["working_directory"],
        "environment": merging.environment(frozen, own, of_template),
        "bounds": [
            line for line in limits.lines({name: frozen.get(name) for name in specs.LIMITS}) if line[1]
        ],
        "networks": [(name, ", ".join(map(str, aliases or []))) for name, aliases in frozen["networks"]],
        "options": sorted(options.items()),
        "wrong": frozen.get("wrong", ""),
    }


# What a spec that nobody froze lacks: a row may have been written by hand.
_EMPTY: dict[str, Any] = {
    **dict.fromkeys(specs.LIMITS),
    **{"docker_image": "", "command": "", "working_directory": "", "environment": {}, "networks": []},
}


def of_attempt(attempt: Attempt) -> dict[str, Any]:
    """The frozen spec of an attempt, with every field that a page shows."""
    stored = Attempt.objects.values_list("spec", flat=True).get(pk=attempt.pk)
    return {**_EMPTY, **specs.complete(stored)}


def _as_of_now(job: ContainerJob) -> dict[str, Any]:
    try:
        return frozen_now(job)
    except ConfigurationError as exc:  # its secret variables cannot be read
        job.secret_environment = {}
        return {**frozen_now(job), "wrong": str(exc)}


def _names(overrides: Any) -> set[str]:
    return set(overrides) if isinstance(overrides, dict) else set()


_OVERRIDES = {
    "override_image": "docker_image",
    "override_command": "command",
    "override_max_attempts": "max_attempts",
    "override_retry_on": "retry_on",
    "override_start_deadline_seconds": "start_deadline_seconds",
}


def _overridden(job: ContainerJob, frozen: Mapping[str, Any]) -> set[str]:
    """What of the spec the job itself sets, by the names that `merging.differences` has."""
    fields = {of for name, of in _OVERRIDES.items() if getattr(job, name) not in (None, "")}
    secrets = {name for name, entry in frozen["environment"].items() if "job" in entry}
    return fields | {f"environment {name}" for name in _names(job.override_environment) | secrets}

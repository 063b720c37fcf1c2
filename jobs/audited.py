"""Acts on jobs and templates, as rows of the audit; see `audit.objects`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

from audit import acts
from audit.entries import Entry
from audit.objects import Objects
from jobs.models import ContainerJob, ContainerTemplate

F = TypeVar("F", bound=Callable[..., ContainerJob])

JOB = Objects("job", ContainerJob)
TEMPLATE = Objects("template", ContainerTemplate)

# What people change of a job by their acts.
WISHES = ("status", "hold", "cancel_requested_at", "cancel_force")
SUBMIT = "job.submit"
# Neither commands nor values of variables: they may be secrets in all but name.
_TOLD = ("priority", "limit_key", "override_image", "override_max_attempts", "override_retry_on")


def submission(operation: F) -> F:
    """Around what makes a job of a template, its first argument."""

    @functools.wraps(operation)
    def wrapped(template: ContainerTemplate, **fields: Any) -> ContainerJob:
        with acts.act(SUBMIT, kind="job", label=fields.get("name") or template.name) as entry:
            entry.says = {"template": template.name}
            job: ContainerJob = operation(template, **fields)
            entry.on(job.pk, job)
            entry.says = _said(job)
        return job

    return cast(F, wrapped)


def note_again(new: ContainerJob, old: ContainerJob) -> None:
    """The job that a restart made has a row of its own, beside that of the one it restarts."""
    says = {**_said(new), "restart_of": old.pk}
    acts.record(Entry(verb=SUBMIT, kind="job", key=str(new.pk), label=str(new), says=says))


def _said(job: ContainerJob) -> dict[str, Any]:
    given = {name: value for name in _TOLD if (value := getattr(job, name)) not in (None, "", 0)}
    variables = sorted({*job.override_environment, *job.secret_environment})
    return {
        "template": job.template.name,
        "host": job.docker_host.name if job.docker_host else "any",
        **given,
        **({"has_own_command": True} if job.override_command else {}),
        **({"variables": variables} if variables else {}),
    }

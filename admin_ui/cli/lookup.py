"""Finding what a person named, or saying what there is instead."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from uuid import UUID

from django.core.management import CommandError

from admin_ui.cli.exits import Exit, failure
from hosts.models import DockerHost
from jobs.models import ContainerJob, ContainerTemplate

_SUGGESTIONS = 5


def template(name: str) -> ContainerTemplate:
    """The template with this name; exit code 4 if there is none."""
    usable = ContainerTemplate.objects.filter(archived_at=None)
    found = usable.filter(name=name).first()
    if found is None:
        raise _unknown("template", name, list(usable.values_list("name", flat=True)))
    return found


def host(name: str, *, removed_too: bool = False) -> DockerHost:
    """The host with this name; exit code 4 if there is none, or only a removed one."""
    hosts = DockerHost.objects.all()
    if not removed_too:
        hosts = hosts.filter(archived_at=None)
    found = hosts.filter(name=name).first()
    if found is None:
        raise _unknown("host", name, list(hosts.values_list("name", flat=True)))
    return found


def job(job_id: UUID) -> ContainerJob:
    """The job with this id; exit code 4 if there is none."""
    # Asked several times a second while somebody follows a job: without what is large or has to be decrypted.
    jobs = ContainerJob.objects.defer("override_environment", "secret_environment", "executor_metadata")
    found = jobs.filter(pk=job_id).first()
    if found is None:
        raise failure(f"There is no job {job_id}.", Exit.NOT_FOUND)
    return found


def _unknown(what: str, name: str, names: Sequence[str]) -> CommandError:
    return failure(f"There is no {what} {name!r}. {_instead(what, name, names)}", Exit.NOT_FOUND)


def _instead(what: str, name: str, names: Sequence[str]) -> str:
    if not names:
        return f"There are no {what}s yet."
    if near := difflib.get_close_matches(name, names, n=_SUGGESTIONS):
        return f"Did you mean {' or '.join(near)}?"
    more = f" and {len(names) - _SUGGESTIONS} more" if len(names) > _SUGGESTIONS else ""
    return f"There are: {', '.join(sorted(names)[:_SUGGESTIONS])}{more}."

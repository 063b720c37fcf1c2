"""What people and programs may ask of jobs. Every page, command and API calls these, and nothing else.

An operation writes an intent and returns at once; the worker that holds the host carries it out. None of
them ever calls an engine.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models.functions import Coalesce, Now

from hosts import wakeups
from hosts.errors import ConfigurationError, TallymanError
from hosts.executors import registry
from hosts.models import DockerHost
from jobs import audited, moves, variables
from jobs.audited import JOB, WISHES
from jobs.models import Attempt, ContainerJob, ContainerTemplate, JobEvent, LeftContainer
from jobs.models.job import Hold
from jobs.states import ENDED_STATUSES, NOT_STARTED, JobStatus


class Refused(TallymanError):
    """The operation does not fit the job as it is; the text says why, and what fits."""


@audited.submission
def submit(  # noqa: PLR0913 (a job's fields)
    template: ContainerTemplate,
    *,
    host: DockerHost | None = None,
    name: str = "",
    command: str = "",
    image: str = "",
    environment: Mapping[str, Any] | None = None,
    secret_environment: Mapping[str, Any] | None = None,
    priority: int = 0,
    max_attempts: int | None = None,
    retry_on: Sequence[str] | None = None,
    start_deadline_seconds: int | None = None,
    limit_key: str = "",
    user: AbstractBaseUser | None = None,
    who: str = "",
) -> ContainerJob:
    """Queue one job; ValidationError says what is wrong with it. A host of None means any with room.

    A variable in `environment` is a text, or an object that says more of it (`jobs.variables`): a secret,
    which is stored encrypted (`secret_environment` holds such, too), or a reference to one; and whether it
    is a file.
    What is not given is the template's: image, command, max_attempts, retry_on, start_deadline_seconds.
    """
    try:
        variables.validate(dict(environment or {}))
    except ValidationError as exc:
        raise ValidationError({"override_environment": exc.messages}) from exc
    plain, secret = variables.split(environment or {})
    job = ContainerJob(
        template=template,
        docker_host=host,
        name=name,
        override_command=command,
        override_image=image,
        override_environment=plain,
        secret_environment={**secret, **(secret_environment or {})},
        priority=priority,
        override_max_attempts=max_attempts,
        override_retry_on=None if retry_on is None else list(retry_on),
        override_start_deadline_seconds=start_deadline_seconds,
        limit_key=limit_key,
        created_by=user,  # type: ignore[misc]
    )
    _validate(job)
    with transaction.atomic():
        job.save(force_insert=True)
        _note(job, "submitted", who=who)
        wakeups.notify(job.docker_host_id)
    return job


def _validate(job: ContainerJob) -> None:
    job.full_clean()
    variables.validate_stored_secrets(job.secret_environment)
    if gone := _gone(job):
        raise ValidationError(gone)


def _gone(job: ContainerJob) -> dict[str, str]:
    """What of the job is out of use, by field: nobody would ever run it, and nobody would say so."""
    gone = {}
    if job.template.archived_at:
        gone["template"] = f"The template {job.template.name} was archived."
    if job.docker_host and job.docker_host.archived_at:
        gone["docker_host"] = f"The host {job.docker_host.name} was removed."
    return gone


def _refuse_if_gone(job: ContainerJob) -> None:
    if gone := _gone(job):
        raise Refused(f"Job {job.pk} cannot run again. {' '.join(gone.values())}")


@JOB.act("start", fields=WISHES)
def start(job_id: UUID, *, who: str) -> None:
    """Let a pending job go now: hold, delay and backoff are dropped."""
    with transaction.atomic():
        job = _get(job_id)
        if job.restarted_from_id and _locked_unless_ended(job.restarted_from_id):
            raise Refused(f"Job {job_id} waits for the job it restarts, {job.restarted_from_id}, to end.")
        go = {"hold": Hold.NONE, "not_before_at": None, "waiting_since_at": Now()}
        if not ContainerJob.objects.pending().filter(pk=job_id).update(**go):
            raise _refusal(job_id, "start", "Only a pending job can be started; use retry or restart.")
        _note_id(job_id, "start requested", who=who)
        wakeups.notify(None)


def _locked_unless_ended(job_id: UUID) -> bool:
    """Whether the job has not ended; it cannot end before this transaction does."""
    job = ContainerJob.objects.select_for_update().filter(pk=job_id)
    return job.exclude(status__in=ENDED_STATUSES).exists()


@JOB.act("stop", fields=WISHES, says=("force",))
def stop(job_id: UUID, *, who: str, force: bool = False) -> None:
    """Hold a pending job; stop an open one with TERM, grace and KILL, so that it ends cancelled.

    `force` gives the container no grace, as in `cancel`.
    """
    with transaction.atomic():
        if ContainerJob.objects.pending().filter(pk=job_id).update(hold=Hold.STOPPED):
            _note_id(job_id, "held", who=who)
            return
    cancel(job_id, who=who, force=force)


@JOB.act("cancel", fields=WISHES, says=("force",))
def cancel(job_id: UUID, *, who: str, force: bool = False) -> None:
    """End a job as cancelled: a pending one at once, an open one once its container is proved stopped.

    `force` gives the container no grace. Cancelling again with force hurries an earlier cancel.
    """
    with transaction.atomic():
        _lock(job_id)
        if _cancel_pending(job_id, who=who):
            return
        _require_stoppable(job_id)
        changes: dict[str, Any] = {
            "cancel_requested_at": Coalesce("cancel_requested_at", Now()),
            "cancelled_by": who,
        }
        if force:
            changes["cancel_force"] = True
        if not ContainerJob.objects.open().filter(pk=job_id).update(**changes):
            raise _refusal(job_id, "cancel", "It has ended already.")
        _note_id(job_id, "cancel requested", "without grace" if force else "", who=who)
        wakeups.notify(_host_of(job_id))


def _require_stoppable(job_id: UUID) -> None:
    """Refuse to cancel what was started where nothing can be stopped; the worker would not do it either."""
    started = Attempt.objects.open().filter(job_id=job_id).exclude(state__in=NOT_STARTED)
    host = DockerHost.objects.filter(pk__in=started.values("host_id")).only("name", "executor_type").first()
    if host is None:
        return
    try:
        can_stop = registry.capabilities(host.executor_type).stop
    except ConfigurationError:  # where its worker runs it may be known
        return
    if not can_stop:
        what = f"The executor of host {host.name} cannot stop what it has launched: it ends by itself."
        raise _refusal(job_id, "be cancelled", what)


def _cancel_pending(job_id: UUID, *, who: str) -> bool:
    has_run = Attempt.objects.filter(job_id=job_id, started_at__isnull=False).exists()
    cancelled = (
        ContainerJob.objects.pending()
        .filter(pk=job_id)
        .update(
            status=JobStatus.CANCELLED,
            completed_at=Now(),
            cancel_requested_at=Now(),
            cancelled_by=who,
            failure_class="cancelled",
            failure_message=f"It was cancelled before it {'ran again' if has_run else 'started'}.",
            failure_hint="",
            pending_reason="",
        )
    )
    if cancelled:
        _note_id(job_id, "cancelled", who=who)
        if moves.release_restarts([job_id]):
            wakeups.notify(None)
    return bool(cancelled)


def _lock(job_id: UUID) -> None:
    """Hold the job's row, so that no attempt of it begins or ends between two looks at its status."""
    # Not for its key: the jobs that restart it refer to it.
    list(ContainerJob.objects.select_for_update(no_key=True).filter(pk=job_id).values_list("pk"))


@JOB.act("restart", fields=WISHES, tell="new_job")
def restart(job_id: UUID, *, who: str, user: AbstractBaseUser | None = None) -> ContainerJob:
    """Submit the same job anew; an old one that has not ended is cancelled first, and waited for."""
    with transaction.atomic():
        _lock(job_id)
        old = _get(job_id)
        _refuse_if_gone(old)
        try:
            old.secret_environment  # noqa: B018 (decrypted here)
        except ConfigurationError as exc:
            raise Refused(f"Job {job_id} cannot be restarted with its secrets. {exc}") from exc
        # One that still waits itself has never run: what replaces it waits for the same job.
        waits_for = (old.restarted_from_id if old.hold == Hold.RESTART else None) or old.pk
        new = _again(old, waits_for, user)
        _note(new, "submitted", f"restart of {old.pk}", who=who)
        audited.note_again(new, old)
        with contextlib.suppress(Refused):  # it has ended
            cancel(old.pk, who=who)
        # Asked after the cancel, so that an end in between cannot leave the new job waiting for ever.
        if ContainerJob.objects.ended().filter(pk=waits_for).exists():
            ContainerJob.objects.filter(pk=new.pk).update(hold=Hold.NONE)
        wakeups.notify(new.docker_host_id)
    return new


def _again(old: ContainerJob, waits_for: UUID, user: AbstractBaseUser | None) -> ContainerJob:
    return ContainerJob.objects.create(
        template_id=old.template_id,
        docker_host_id=old.docker_host_id,
        name=old.name,
        override_image=old.override_image,
        override_command=old.override_command,
        override_environment=old.override_environment,
        secret_environment=old.secret_environment,
        priority=old.priority,
        override_max_attempts=old.override_max_attempts,
        override_retry_on=old.override_retry_on,
        override_start_deadline_seconds=old.override_start_deadline_seconds,
        limit_key=old.limit_key,
        restarted_from_id=waits_for,
        hold=Hold.RESTART,
        created_by=user,  # type: ignore[misc]
    )


@JOB.act("retry", fields=WISHES)
def retry(job_id: UUID, *, who: str) -> None:
    """Give an ended job that did not complete one more attempt."""
    with transaction.atomic():
        again = ContainerJob.objects.ended().filter(pk=job_id).exclude(status=JobStatus.COMPLETED)
        if not again.update(
            status=JobStatus.PENDING,
            completed_at=None,
            started_at=None,
            exit_code=None,
            failure_class="",
            failure_message="",
            failure_hint="",
            cancel_requested_at=None,
            cancel_force=False,
            cancelled_by="",
            not_before_at=None,
            waiting_since_at=Now(),
            hold=Hold.NONE,
            infra_failure_count=0,
        ):
            raise _refusal(job_id, "retry", "Only a job that ended without completing can be retried.")
        job = _get(job_id)
        _refuse_if_gone(job)
        _note(job, "retry requested", who=who)
        wakeups.notify(job.docker_host_id)


@JOB.act("delete", fields=("status",))
def delete(job_id: UUID) -> None:
    """Delete an ended job with its logs and history; a container of it that is kept is removed soon."""
    with transaction.atomic():
        # Locked, so that nobody can retry it meanwhile.
        if not ContainerJob.objects.select_for_update().ended().filter(pk=job_id).exists():
            raise _refusal(job_id, "delete", "Only an ended job can be deleted; cancel it first.")
        kept = Attempt.objects.filter(job_id=job_id, container_gone_at=None, host__archived_at=None)
        hosts = set(kept.values_list("host_id", flat=True))
        LeftContainer.objects.bulk_create(LeftContainer(host_id=host, job_id=job_id) for host in hosts)
        ContainerJob.objects.filter(pk=job_id).delete()


def _host_of(job_id: UUID) -> UUID | None:
    return Attempt.objects.open().filter(job_id=job_id).values_list("host_id", flat=True).first()


def _get(job_id: UUID) -> ContainerJob:
    try:
        return ContainerJob.objects.defer("secret_environment").get(pk=job_id)
    except ContainerJob.DoesNotExist:
        raise Refused(f"There is no job {job_id}.") from None


def _refusal(job_id: UUID, verb: str, rule: str) -> Refused:
    job = _get(job_id)
    return Refused(f"Job {job_id} is {job.status}, so it cannot {verb}. {rule}")


def _note(job: ContainerJob, kind: str, message: str = "", *, who: str) -> None:
    _note_id(job.pk, kind, message, who=who)


def _note_id(job_id: UUID, kind: str, message: str = "", *, who: str) -> None:
    JobEvent.objects.create(job_id=job_id, kind=kind, message=message, who=who)

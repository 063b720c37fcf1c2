"""The subcommands of manage_container_job that submit jobs, wait for them, and end as they ended."""

from __future__ import annotations

import shlex
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.management import CommandError

from admin_ui import presenters
from admin_ui.cli import job_variables, lookup
from admin_ui.cli.command import Options, is_assignment, who
from admin_ui.cli.exits import Exit, failure
from admin_ui.cli.follow import Follower, LogPrinter, StoppedWaiting, how_to_look
from admin_ui.cli.interrupts import Interrupts
from admin_ui.cli.jobs import one_record
from admin_ui.cli.output import Output
from jobs import builtin, operations
from jobs.models import ContainerJob
from jobs.states import JobStatus

_HIGHEST_CODE = 255
# The program's own failure needs no word from us: its exit code and what it wrote say it.
_PROGRAM_FAILED = "exit_code"


def create(options: Options, out: Output) -> Exit:
    """Submit a job; with --wait, be as successful as it is."""
    job = _submit(options)
    if not options.wait:
        _tell_created(job, options, out)
        return Exit.OK
    try:
        ended = _wait(job, out)
    except CommandError:
        if options.json:
            out.json(one_record(job.pk))
        raise
    if options.json:
        out.json(one_record(job.pk))
    else:
        out.line(_how_it_ended(ended))
    return Exit.OK if ended.status == JobStatus.COMPLETED else Exit.FAILED


def _tell_created(job: ContainerJob, options: Options, out: Output) -> None:
    if options.json:
        out.json(one_record(job.pk))
    else:
        host = f"on {options.host}" if options.host else "on any host with room"
        out.line(f"Created job {job.pk}: {options.template} {host}.")


def _wait(job: ContainerJob, out: Output) -> ContainerJob:
    def leave(_count: int) -> None:
        raise StoppedWaiting

    with Interrupts() as interrupts:
        try:
            return Follower(job_id=job.pk, out=out, interrupts=interrupts, on_interrupt=leave).until_end()
        except StoppedWaiting:
            raise failure(f"Stopped waiting; job {job.pk} goes on.", Exit.INTERRUPTED) from None


def run(options: Options, out: Output) -> int:
    """Submit a job, print its log as it comes, exit as its container did."""
    with Interrupts() as interrupts:
        return _run_to_end(_submit(options), out, interrupts)


def run_command(options: Options, out: Output) -> int:
    """Run a management command of the application in a container of its image."""
    words = options.words[1:] if options.words[:1] == ["--"] else options.words
    if not words:
        raise failure("Which command? Write it after --, as in: run-command -- migrate --check", Exit.USAGE)
    if is_assignment(words[0]):
        raise failure(
            f"{words[0]!r} is no command. Give each variable an --env of its own, and the command after --",
            Exit.USAGE,
        )
    image = options.image or settings.TALLYMAN_APP_IMAGE
    if not image:
        raise failure(
            "Which image holds the application? Set TALLYMAN_APP_IMAGE, or give --image.", Exit.USAGE
        )
    with Interrupts() as interrupts:
        job = _submit_command(words, image, options)
        if options.detach:
            out.line(str(job.pk))
            return Exit.OK
        return _run_to_end(job, out, interrupts)


def _submit(options: Options) -> ContainerJob:
    return operations.submit(
        lookup.template(options.template),
        host=lookup.host(options.host) if options.host else None,
        name=options.name,
        command=options.command,
        environment=job_variables.given(options),
        **_retries(options),
        who=who(),
    )


def _retries(options: Options) -> dict[str, Any]:
    return {
        "max_attempts": options.max_attempts,
        "retry_on": options.retry_on,
        "start_deadline_seconds": options.start_deadline,
        "limit_key": options.limit_key,
    }


def _submit_command(words: list[str], image: str, options: Options) -> ContainerJob:
    host = lookup.host(options.host) if options.host else None
    template = builtin.django_template(image)
    return operations.submit(
        template,
        host=host,
        name=options.name or words[0],
        command=shlex.join(["python", "manage.py", *words]),
        image="" if image == template.docker_image else image,
        environment=job_variables.given(options),
        **_retries(options),
        who=who(),
    )


def _run_to_end(job: ContainerJob, out: Output, interrupts: Interrupts) -> int:
    follower = Follower(
        job_id=job.pk,
        out=out,
        interrupts=interrupts,
        on_interrupt=lambda count: _cancel_or_leave(job.pk, count, out),
        log=LogPrinter(job.pk, out),
    )
    try:
        ended = follower.until_end()
    except StoppedWaiting:
        out.remark(f"Not waiting any longer for job {job.pk} to end. {how_to_look(job.pk)}")
        return Exit.INTERRUPTED
    if ended.failure_class not in {"", _PROGRAM_FAILED}:
        out.remark(_how_it_ended(ended))
    return exit_code_of(ended)


def _cancel_or_leave(job_id: UUID, count: int, out: Output) -> None:
    if count > 1:
        raise StoppedWaiting
    out.remark(f"Cancelling job {job_id}; press Ctrl-C once more to leave it alone.")
    try:
        operations.cancel(job_id, who=who())
    except operations.Refused as exc:
        out.remark(str(exc))


def exit_code_of(job: ContainerJob) -> int:
    """What a command that stands for an ended job exits with."""
    if job.status == JobStatus.COMPLETED:
        return Exit.OK
    if job.status == JobStatus.TIMEOUT:
        return Exit.TIMED_OUT
    if job.status == JobStatus.CANCELLED:
        return Exit.INTERRUPTED
    if job.exit_code is not None:
        return job.exit_code if 0 < job.exit_code <= _HIGHEST_CODE else Exit.FAILED
    return Exit.FAILED if job.started_at else Exit.NOT_STARTED


def _how_it_ended(job: ContainerJob) -> str:
    record = one_record(job.pk)
    took = presenters.duration(record["duration_seconds"])
    why = f": {job.failure_message}" if job.failure_message else "."
    sentence = f"Job {job.pk} {job.get_status_display().lower()}{f' after {took}' if took else ''}{why}"
    return f"{sentence} {job.failure_hint}".rstrip()

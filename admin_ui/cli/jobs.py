"""The subcommands of manage_container_job that ask and tell; `admin_ui.cli.runs` has those that run."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from django.db.models import Exists, OuterRef, Q

from admin_ui import limits, presenters
from admin_ui.cli import lookup, records
from admin_ui.cli.command import Options, who
from admin_ui.cli.exits import Exit, failure
from admin_ui.cli.follow import Follower, LogPrinter, StoppedWaiting
from admin_ui.cli.interrupts import Interrupts
from admin_ui.cli.output import Output
from hosts.executors import frames
from jobs import logs, operations
from jobs.declare_lost import declare_attempt_lost
from jobs.models import Attempt, ContainerJob
from jobs.states import JobStatus

_ATTEMPT_HEADER = ("ATTEMPT", "HOST", "HOW", "EXIT", "STARTED", "ENDED", "TOOK", "NOTE")
_LIST_HEADER = ("ID", "STATUS", "EXIT", "TEMPLATE", "HOST", "CREATED", "TOOK", "NAME", "PHASE")


def list_jobs(options: Options, out: Output) -> Exit:
    """The newest jobs, filtered."""
    jobs = ContainerJob.objects.all()
    if options.status:
        jobs = jobs.filter(status=options.status)
    if options.host:
        host = lookup.host(options.host, removed_too=True)
        ran_there = Attempt.objects.filter(job=OuterRef("pk"), number=OuterRef("attempt_count"), host=host)
        jobs = jobs.filter(Q(Exists(ran_there)) | Q(docker_host=host, attempt_count=0))
    found = records.records(jobs.order_by("-created_at", "-id")[: options.limit])
    if options.json:
        out.json(found)
    elif found:
        out.table(_LIST_HEADER, [_row(record) for record in found])
    else:
        out.remark("No jobs.")
    return Exit.OK


def _row(record: records.Record) -> tuple[str, ...]:
    return (
        record["id"],
        record["status"],
        "" if record["exit_code"] is None else str(record["exit_code"]),
        record["template"],
        record["host"] or "any",
        presenters.moment(record["created_at"]),
        presenters.duration(record["duration_seconds"]),
        record["name"],
        record["phase"] or "",
    )


def show(options: Options, out: Output) -> Exit:
    """One job, with its log if asked for."""
    if options.json and options.raw:
        raise failure("--raw writes bytes, which JSON cannot hold: give --json or --raw.", Exit.USAGE)
    job = lookup.job(options.id)
    if options.json:
        _show_json(job, options, out)
        return Exit.OK
    if not options.raw:
        _describe(job.pk, out)
    log = LogPrinter(job.pk, out, from_attempt=max(1, job.attempt_count))
    if options.follow:
        _follow(job, out, log)
    elif options.raw:
        log.print_new()
        _say_what_is_missing(job.pk, out)
    elif options.logs:
        _sections(job.pk, out)
    return Exit.OK


def _show_json(job: ContainerJob, options: Options, out: Output) -> None:
    if options.follow:
        _follow(job, out, None)
    out.json(one_record(job.pk) | (records.logs_of(job.pk) if options.logs else {}))


def one_record(job_id: UUID) -> records.Record:
    """The job as `--json` gives it; exit code 4 if it was deleted."""
    found = records.whole_record(job_id)
    if found is None:
        raise failure(f"There is no job {job_id}.", Exit.NOT_FOUND)
    return found


def _follow(job: ContainerJob, out: Output, log: LogPrinter | None) -> None:
    def leave(_count: int) -> None:
        raise StoppedWaiting

    with Interrupts() as interrupts:
        follower = Follower(job_id=job.pk, out=out, interrupts=interrupts, on_interrupt=leave, log=log)
        try:
            follower.until_end()
        except StoppedWaiting:
            raise failure(f"Stopped following; job {job.pk} goes on.", Exit.INTERRUPTED) from None


def _describe(job_id: UUID, out: Output) -> None:
    job = ContainerJob.objects.select_related("template").get(pk=job_id)
    record = one_record(job_id)
    out.fields(
        [
            ("Job", record["id"]),
            ("Name", record["name"]),
            ("Status", record["status"]),
            *_outcome(record),
            ("Template", record["template"]),
            ("Image", job.override_image or job.template.docker_image),
            ("Command", job.override_command or job.template.command),
            ("Environment", _environment_names(job)),
            ("Host", record["host"] or "any"),
            ("Attempt", str(record["attempt"] or "")),
            ("Created", presenters.moment(record["created_at"])),
            *_course(record),
            *limits.lines(record["limits"]),
        ]
    )
    if record["attempts"]:
        out.line()
        out.table(_ATTEMPT_HEADER, [_attempt_row(attempt) for attempt in record["attempts"]])


def _attempt_row(attempt: records.Record) -> tuple[str, ...]:
    return (
        str(attempt["number"]),
        attempt["host"],
        attempt["outcome"] or attempt["state"],
        "" if attempt["exit_code"] is None else str(attempt["exit_code"]),
        presenters.moment(attempt["started_at"]),
        presenters.moment(attempt["finished_at"] or attempt["ended_at"]),
        presenters.duration(attempt["duration_seconds"]),
        limits.note(
            phase="" if attempt["outcome"] else attempt["phase"],
            worker_kills=attempt["worker_kills"],
            failure=attempt["failure"]["message"] if attempt["failure"] else "",
            logs_note=attempt["logs_note"],
        ),
    )


def _outcome(record: records.Record) -> list[tuple[str, str]]:
    failed = record["failure"] or {"class": "", "message": "", "hint": ""}
    return [
        ("Exit code", "" if record["exit_code"] is None else str(record["exit_code"])),
        ("Failure", f"{failed['message']} ({failed['class']})" if record["failure"] else ""),
        ("Hint", failed["hint"]),
        ("Waiting", record["pending_reason"] or ""),
        ("Phase", record["phase"] or ""),
    ]


def _course(record: records.Record) -> list[tuple[str, str]]:
    used = presenters.measures(record) if record["started_at"] else []
    return [
        ("Started", presenters.moment(record["started_at"])),
        ("Ended", presenters.moment(record["completed_at"])),
        ("Took", presenters.duration(record["duration_seconds"])),
        ("Container", record["container_id"] or ""),
        *used,
    ]


def _environment_names(job: ContainerJob) -> str:
    names = {
        *job.template.environment_variables.values_list("key", flat=True),
        *(job.override_environment if isinstance(job.override_environment, dict) else ()),
        *job.secret_environment,
    }
    return f"{', '.join(sorted(names))} (values are not shown)" if names else ""


def _sections(job_id: UUID, out: Output) -> None:
    attempt = records.current_attempts([job_id]).first()
    if attempt and attempt.logs_deleted_at and attempt.logs_note:
        out.remark(attempt.logs_note)
        return
    for title, stream in (("stdout", frames.STDOUT), ("stderr", frames.STDERR)):
        out.line(f"\n--- {title} ---")
        last = b"\n"
        for piece in logs.stream_bytes(attempt.pk, stream, marked=True) if attempt else ():
            out.bytes(piece)
            last = piece or last
        if not last.endswith(b"\n"):
            out.line()
    _say_what_is_missing(job_id, out)


def _say_what_is_missing(job_id: UUID, out: Output) -> None:
    attempt = records.current_attempts([job_id]).first()
    if attempt and attempt.logs_note:
        out.remark(attempt.logs_note)


def cancel(options: Options, out: Output) -> Exit:
    """Cancel one job; a pending one ends at once."""
    job = lookup.job(options.id)
    operations.cancel(job.pk, who=who(), force=options.force)
    if lookup.job(job.pk).status == JobStatus.CANCELLED:
        out.line(f"Job {job.pk} is cancelled.")
    else:
        how = "is killed" if options.force else "is asked to stop, and killed after its grace period"
        out.line(f"Job {job.pk} is being cancelled: its container {how}.")
    return Exit.OK


def restart(options: Options, out: Output) -> Exit:
    """Submit the same job anew, once the old one has ended."""
    job = lookup.job(options.id)
    new = operations.restart(job.pk, who=who())
    out.line(f"Job {new.pk} runs it again.")
    return Exit.OK


def declare_lost(options: Options, out: Output) -> Exit:
    """Call the open attempt of a job lost, after the job's id was typed."""
    job = lookup.job(options.id)
    typed = _ask(job) if options.yes_i_mean is None else options.yes_i_mean
    if typed.lower() != str(job.pk):
        raise failure(f"That is not {job.pk}; nothing was changed.", Exit.USAGE)
    declare_attempt_lost(job.pk, who=who())
    out.line(f"The attempt of job {job.pk} is declared lost, and its slot is free.")
    return Exit.OK


def _ask(job: ContainerJob) -> str:
    try:
        return input(
            f"The attempt of job {job.pk} ({job}) will be called lost, though it may have run.\n"
            "Look at its platform first. Type the id of the job to go on: "
        ).strip()
    except EOFError:
        message = f"Nobody is there to be asked. If you are sure: --yes-i-mean {job.pk}"
        raise failure(message, Exit.USAGE) from None


def simple(operation: Callable[..., None], result: str) -> Callable[[Options, Output], Exit]:
    """A subcommand that asks one thing of one job, and says `result`."""

    def run(options: Options, out: Output) -> Exit:
        job = lookup.job(options.id)
        operation(job.pk, who=who())
        out.line(result.format(job=job.pk))
        return Exit.OK

    return run

"""What a worker writes about its runs: moves, logs, usage, ends. Main thread only; all in guarded batches.

Every write may be asked for again after the database went away in the middle of it: what is not held is
looked up, and only a row that is not ours any more makes the worker let the run go.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import DurationField, ExpressionWrapper, F
from django.db.models.functions import Now

from hosts import fitting
from hosts.identity import boot_clock
from jobs import batches, moves, retry, usage
from jobs.measures import UsageTotals
from jobs.models import Attempt, ContainerJob
from jobs.outcome import Verdict
from jobs.states import NOT_STARTED, AttemptState, JobStatus, Outcome, status_after
from supervisor.worker import execution, poison
from supervisor.worker.breadcrumb import Crumb
from supervisor.worker.claiming import Refill, RefillFailed, tried
from supervisor.worker.engine_log import EngineLog
from supervisor.worker.log_ledger import AlreadyStored, append_rest, check_rest, note_stored
from supervisor.worker.progress import judge_exit
from supervisor.worker.run import Need, Run
from supervisor.worker.sampler import UsageRead

logger = structlog.get_logger(__name__)

_KINDS = {
    "to_pulling": AttemptState.PULLING,
    "fence": AttemptState.CREATED,
    "to_running": AttemptState.RUNNING,
    "describe": None,
    "to_stopping": AttemptState.STOPPING,
    "to_exited": AttemptState.EXITED,
}
_ORDER = list(AttemptState)


def open_attempts(host_id: UUID, epoch: int) -> dict[UUID, float]:
    """The host's open attempts, and for how many seconds yet somebody is going to look at the log of each."""
    left = ExpressionWrapper(F("watched_until") - Now(), output_field=DurationField())
    mine = Attempt.objects.filter(host_id=host_id, epoch=epoch).open().annotate(left=left)
    return {pk: left.total_seconds() if left else 0.0 for pk, left in mine.values_list("pk", "left")}


def open_runs(
    host_id: UUID,
    epoch: int,
    *,
    known: Collection[UUID],
    now: float,
    crumb: Crumb,
    there: Collection[UUID] | None = None,
) -> list[Run]:
    """Runs of the host's open attempts that are not known yet; `now` is the boot clock's.

    `there` are its open attempts, where they have been read just now.
    """
    mine = Attempt.objects.filter(host_id=host_id, epoch=epoch).open()
    unknown = set(mine.values_list("pk", flat=True) if there is None else there).difference(known)
    if not unknown:
        return []
    mine = mine.filter(pk__in=unknown)
    deadlines = _deadlines(unknown, now)
    runs = []
    for attempt in mine.select_related("job").defer("job__secret_environment"):
        with crumb(attempt.id):
            run = Run.of(attempt, infra_failures=attempt.job.infra_failure_count)
            if attempt.container_id and isinstance(attempt.job.executor_metadata, dict):
                run.stored_metadata = attempt.job.executor_metadata
            poison.approach(run, now)
            if not run.is_poison:
                run.usage, run.series = usage.restored(attempt)
            run.deadline_clock = deadlines.get(run.attempt_id)
        runs.append(run)
    note_start_deadlines(runs, now)
    return runs


def _deadlines(attempt_ids: Iterable[UUID], now: float) -> dict[UUID, float]:
    """Those of the attempts that have a deadline, on the boot clock, of which it is `now`."""
    left = ExpressionWrapper(F("deadline_at") - Now(), output_field=DurationField())
    limited = Attempt.objects.filter(pk__in=attempt_ids).exclude(deadline_at=None).annotate(left=left)
    return {key: now + left.total_seconds() for key, left in limited.values_list("pk", "left")}


def note_start_deadlines(runs: Iterable[Run], now: float) -> None:
    """Tell runs that have not started until when they may; `now` is the boot clock's."""
    limited = {
        run.job_id: run
        for run in runs
        if run.spec["start_deadline_seconds"] is not None and run.state in NOT_STARTED
    }
    if not limited:
        return
    waited = ExpressionWrapper(Now() - F("waiting_since_at"), output_field=DurationField())
    jobs = ContainerJob.objects.filter(pk__in=limited).exclude(waiting_since_at=None)
    for job_id, so_far in jobs.annotate(waited=waited).values_list("pk", "waited"):
        run = limited[job_id]
        run.start_deadline_clock = now + run.spec["start_deadline_seconds"] - so_far.total_seconds()


def write_moves(
    runs: Iterable[Run], who: str, crumb: Crumb, *, until: float = float("inf")
) -> tuple[list[Run], list[Run]]:
    """Write every move that is due `until` then; the runs whose move held, and those not ours any more."""
    by_kind: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        if run.move and run.move.due_clock <= until and not (run.untold_exit and run.need is Need.END):
            by_kind[run.move.kind].append(run)
    held: list[Run] = []
    stale: list[Run] = []
    for kind in _KINDS:
        if not by_kind[kind]:
            continue
        ids = set[UUID]().union(*poison.by_name(partial(_write_move, kind, who), by_kind[kind], crumb))
        ids |= _written_before([run for run in by_kind[kind] if run.attempt_id not in ids], kind)
        for run in by_kind[kind]:
            (held if run.attempt_id in ids else stale).append(run)
    return held, stale


def _write_move(kind: str, who: str, runs: Sequence[Run]) -> set[UUID]:
    held: set[UUID] = getattr(moves, kind)([{**run.move.row, "who": who} for run in runs if run.move])
    return held


def state_after(kind: str) -> AttemptState | None:
    """The state a move leads to; None if it changes none."""
    return _KINDS[kind]


def write_phases(news: Mapping[UUID, str], runs: Mapping[UUID, Run]) -> None:
    """Write what runs are doing. A row that is not ours any more is found out by its next move."""
    moves.note_phase(
        [
            {"attempt_id": attempt_id, "epoch": runs[attempt_id].epoch, "phase": phase}
            for attempt_id, phase in news.items()
        ]
    )
    for attempt_id, phase in news.items():
        runs[attempt_id].phase = phase


def _written_before(runs: Sequence[Run], kind: str) -> set[UUID]:
    """Of moves that changed nothing: those that are there already, from a try whose answer was lost."""
    if not runs:
        return set()
    rows = {row["id"]: row for row in _rows(runs)}
    done = set()
    for run in runs:
        row = rows.get(run.attempt_id)
        target = _KINDS[kind]
        if row is None or run.move is None:
            continue
        same_container = row["container_id"] == run.move.row.get("container_id", row["container_id"])
        if target is None or (same_container and _ORDER.index(row["state"]) >= _ORDER.index(target)):
            done.add(run.attempt_id)
    deadlines = _deadlines(done, boot_clock()) if kind == "to_running" else {}
    for run in runs:  # they count from the write that is there
        run.deadline_clock = deadlines.get(run.attempt_id, run.deadline_clock)
    return done


def _rows(runs: Sequence[Run]) -> list[Any]:
    ours = Attempt.objects.filter(id__in=[run.attempt_id for run in runs], epoch=runs[0].epoch)
    return list(ours.exclude(state=AttemptState.ENDED).values("id", "state", "container_id", "next_seq"))


def store_usage(readings: Sequence[UsageRead], runs: dict[UUID, Run]) -> None:
    """Store the newest reading of each run, and its totals."""
    rows, after = [], {}
    for reading in readings:
        run = runs[reading.run_id]
        row, after[run.attempt_id] = usage.row(
            run.attempt_id, run.epoch, reading.usage, reading.totals, run.series
        )
        rows.append(row)
    for attempt_id in usage.append(rows):
        runs[attempt_id].series = after[attempt_id]


def write_ends(
    runs: Sequence[Run], host_name: str, who: str, crumb: Crumb, *, refill: Refill | None = None
) -> tuple[list[Run], list[Run]]:
    """End runs in one transaction with the rest of their logs; those that held, and those not ours now."""
    parts = poison.by_name(partial(_write_ends, host_name, who, refill), runs, crumb)
    return [run for held, _ in parts for run in held], [run for _, stale in parts for run in stale]


def _write_ends(
    host_name: str, who: str, refill: Refill | None, runs: Sequence[Run]
) -> tuple[list[Run], list[Run]]:
    rows = {run.attempt_id: _readable_end_row(run, host_name, who) for run in runs}
    exits = {run.attempt_id: run.untold_exit.row for run in runs if run.untold_exit}
    ends = [row for attempt_id, row in rows.items() if attempt_id not in exits]
    finishes = [_with_exit(rows[attempt_id], told) for attempt_id, told in exits.items()]
    ended, stale = write_last(runs, lambda: moves.end(ends) | moves.finish(finishes), refill)
    before = _ended_before(stale)
    return [*ended, *(run for run in stale if run.attempt_id in before)], [
        run for run in stale if run.attempt_id not in before
    ]


def _with_exit(end: dict[str, Any], told: batches.Row) -> dict[str, Any]:
    return {**told, **end, "exit_message": told["message"]}


def write_last(
    runs: Sequence[Run], write: Callable[[], set[UUID]], refill: Refill | None = None
) -> tuple[list[Run], list[Run]]:
    """Store the rest of the logs and `write` the ends in one transaction; who held, and who did not."""
    is_more = refill or any(run.pieces for run in runs)
    try:
        held = _write_with_rest(runs, write, refill) if is_more else write()
    except RefillFailed:  # by itself, after this, it fails in its own name
        logger.warning("jobs could not be claimed together with the ends of others", exc_info=True)
        return write_last(runs, write)
    except AlreadyStored as exc:
        # The answer to an earlier write of this log was lost: count what is there, and end in the next turn.
        note_stored(exc.run, max(0, min(len(exc.run.pieces), exc.stored - exc.run.next_seq)))
        if exc.stored < exc.run.next_seq:
            exc.run.next_seq = exc.stored
            exc.run.logs_note = "The database lost a part of the log that it had already."
        return [], []
    return [run for run in runs if run.attempt_id in held], [
        run for run in runs if run.attempt_id not in held
    ]


def _write_with_rest(runs: Sequence[Run], write: Callable[[], set[UUID]], refill: Refill | None) -> set[UUID]:
    def write_all() -> set[UUID]:
        stored = append_rest(runs)
        held = write()
        check_rest(run for run in runs if run.attempt_id in held and run.attempt_id not in stored)
        return held

    with batches.unless_refused():
        with batches.whole():
            if refill:
                tried(refill.lock)
            held = write_all()
            claimed = tried(partial(refill.claim, held)) if refill else []
        if refill:
            refill.claimed(claimed)
        return held
    with transaction.atomic():
        return write_all()


def _ended_before(runs: Sequence[Run]) -> set[UUID]:
    """Of ends that changed nothing: those that are there already, from a try whose answer was lost."""
    if not runs:
        return set()
    ours = Attempt.objects.filter(pk__in=[run.attempt_id for run in runs], epoch=runs[0].epoch)
    return set(ours.filter(state=AttemptState.ENDED).values_list("pk", flat=True))


def _readable_end_row(run: Run, host_name: str, who: str) -> dict[str, Any]:
    """The end's row; where an engine tells things of it that nobody can reckon with, one that says so."""
    try:
        return _end_row(run, host_name, who)
    except (ArithmeticError, AttributeError, TypeError, ValueError) as exc:
        logger.exception("the end cannot be understood", attempt_id=str(run.attempt_id), seen=repr(run.seen))
        run.verdict = Verdict(
            outcome=Outcome.INTERRUPTED,
            failure_class="unreadable_end",
            message=f"It ended, and what its engine tells of that cannot be understood: {exc!r}",
            hint="The worker's log shows what the engine said.",
        )
        run.seen, run.engine_log, run.usage = None, EngineLog(), UsageTotals()
        return _end_row(run, host_name, who)


def _end_row(run: Run, host_name: str, who: str) -> dict[str, Any]:
    run.verdict = run.verdict or judge_exit(run)
    verdict = run.verdict
    infra = run.infra_failures + (verdict.outcome == "infra")
    delay = retry.delay_before_next(
        verdict.outcome,
        retry.Budget.of(run.spec, attempts=run.number, infra_failures=run.infra_failures),
        failure_class=verdict.failure_class,
    )
    run.retry_delay_seconds = delay
    return {
        **run.identity,
        "who": who,
        "message": " ".join(filter(None, (verdict.outcome, verdict.message))),
        "outcome": verdict.outcome,
        "exit_code": run.seen.exit_code if run.seen else run.rejected_exit_code,
        "host_name": host_name,
        "template_name": run.spec["template_name"],
        "failure_class": verdict.failure_class,
        "failure_message": fitting.clean(verdict.message),
        "failure_hint": fitting.clean(verdict.hint),
        "logs_complete": not run.logs_note,
        "logs_note": run.logs_note,
        "job_status": JobStatus.PENDING if delay is not None else status_after(verdict.outcome),
        "retry_delay_seconds": delay,
        "run_seconds": execution.run_seconds(run),
        "infra_failures": infra,
        **execution.columns(run),
    }

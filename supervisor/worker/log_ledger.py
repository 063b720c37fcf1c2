"""What a worker writes of its runs' logs: pieces as they come, the rest with the ends. Main thread only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any
from uuid import UUID

from django.db import transaction

from jobs import batches, log_cap, logs
from jobs.models import Attempt
from jobs.states import AttemptState
from supervisor.worker import poison
from supervisor.worker.breadcrumb import Crumb
from supervisor.worker.run import LogStage, Run


def store_logs(runs: Iterable[Run], crumb: Crumb) -> None:
    """Store the pieces that wait, except the last ones of runs about to end."""
    waiting = [run for run in runs if run.pieces and run.log is not LogStage.DONE]
    while waiting:
        offered: dict[UUID, int] = {}
        held = set[UUID]().union(*poison.by_name(partial(_append_next, offered), waiting, crumb))
        for run in waiting:
            note_stored(run, offered[run.attempt_id] if run.attempt_id in held else _resync(run))
        waiting = [run for run in waiting if run.pieces and run.attempt_id in held]


def _append_next(offered: dict[UUID, int], runs: Sequence[Run]) -> set[UUID]:
    """Store the next pieces of every run in one write; `offered` is told how many of each."""
    rows = []
    most = max(1, batches.MAX_ROWS // len(runs))
    for run in runs:
        _split_at_head(run, most)
        offered[run.attempt_id] = min(most, len(run.pieces))
        rows += _log_rows(run, offered[run.attempt_id])
    return _append(rows, runs)


def _append(rows: list[Any], runs: Sequence[Run]) -> set[UUID]:
    """Store rows of these runs; what is over the cap of a log goes with the write that makes it so."""
    over = [run for run in runs if run.pieces and _log_size(run) > run.spec["max_log_bytes"]]
    if not over:
        return logs.append(rows)
    with transaction.atomic():
        held = logs.append(rows)
        for run in over:
            if run.attempt_id in held:
                cap = run.spec["max_log_bytes"]
                seq = log_cap.trim(run.attempt_id, run.epoch, cap, from_seq=run.tail_seq)
                transaction.on_commit(partial(setattr, run, "tail_seq", seq))
    return held


def _log_size(run: Run) -> int:
    """How long the log is with all that waits to be stored."""
    waiting = sum(read.piece.payload_bytes for read in run.pieces)
    return run.stdout_bytes + run.stderr_bytes + waiting


def _split_at_head(run: Run, most: int) -> None:
    """Make two of that one of the next pieces, up to `most`, in which the head of the log ends."""
    begin, cap = run.stdout_bytes + run.stderr_bytes, run.spec["max_log_bytes"]
    for place, read in enumerate(islice(run.pieces, most)):
        parts = log_cap.split(read.piece, begin=begin, cap=cap)
        if parts:
            run.pieces[place] = replace(read, piece=parts[0], held=0)
            run.pieces.insert(place + 1, replace(read, piece=parts[1], missing=""))
            return
        begin += read.piece.payload_bytes


def _log_rows(run: Run, count: int) -> list[Any]:
    return [
        logs.row(run.attempt_id, run.epoch, run.next_seq + place, read.piece, note=read.missing)
        for place, read in enumerate(islice(run.pieces, count))
    ]


def note_stored(run: Run, count: int) -> None:
    """So many of the run's next pieces are in the database."""
    for _ in range(count):
        read = run.pieces.popleft()
        before = (run.stdout_bytes, run.stderr_bytes)
        run.log_ends.add((run.next_seq, *before, read.piece.data), read.piece.tally.raw_bytes)
        run.next_seq += 1
        run.freed_bytes += read.held
        run.stdout_bytes += read.piece.tally.stdout_bytes
        run.stderr_bytes += read.piece.tally.stderr_bytes
        run.log_lines += read.piece.tally.stdout_lines + read.piece.tally.stderr_lines


def _resync(run: Run) -> int:
    """How many of the pieces that were not taken are there already: the answer to their writing was lost."""
    ours = Attempt.objects.filter(pk=run.attempt_id, epoch=run.epoch).exclude(state=AttemptState.ENDED)
    next_seq = ours.values_list("next_seq", flat=True).first()
    there = next_seq - run.next_seq if next_seq is not None else 0
    return there if 0 < there <= len(run.pieces) else 0


class AlreadyStored(Exception):
    """The database has more of a log than its worker knows of: the answer to a write was lost."""

    def __init__(self, run: Run, stored: int) -> None:
        super().__init__(f"attempt {run.attempt_id} holds {stored} chunks already")
        self.run, self.stored = run, stored


def append_rest(runs: Sequence[Run]) -> set[UUID]:
    """Store all that waits, within the transaction of the runs' ends; whose was taken."""
    rows = []
    for run in runs:
        _split_at_head(run, len(run.pieces))
        rows += _log_rows(run, len(run.pieces))
    return _append(rows, runs) if rows else set()


def check_rest(runs: Iterable[Run]) -> None:
    """Raise for one whose rest was not taken, although it is ours still: it is there already."""
    with_rest = {run.attempt_id: run for run in runs if run.pieces}
    if not with_rest:
        return
    for attempt_id, stored in Attempt.objects.filter(pk__in=with_rest).values_list("pk", "next_seq"):
        run = with_rest[attempt_id]
        if stored != run.next_seq + len(run.pieces):
            raise AlreadyStored(run, stored)

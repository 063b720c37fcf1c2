"""What a run's execution tells once it is over: excerpts of its log, and what it used."""

from __future__ import annotations

from typing import Any

from hosts import fitting
from jobs import excerpts
from supervisor.worker.run import Run


def run_seconds(run: Run) -> float:
    """How long the container ran, as far as its engine tells."""
    if not run.seen or not run.seen.started_at or not run.seen.finished_at:
        return 0.0
    return max(0.0, (run.seen.finished_at - run.seen.started_at).total_seconds())


def texts(run: Run) -> dict[str, Any]:
    """The log's excerpts and sizes, with the pieces that are still to be stored."""
    pieces = [read.piece for read in run.pieces]
    sizes = (
        run.stdout_bytes + sum(piece.tally.stdout_bytes for piece in pieces),
        run.stderr_bytes + sum(piece.tally.stderr_bytes for piece in pieces),
    )
    if run.is_poison:  # what is stored may be what the workers died of
        return {"stdout": "", "stderr": "", "stdout_bytes": sizes[0], "stderr_bytes": sizes[1]}
    # Of a log over its cap, what was stored last may be left out by now.
    stored = run.log_ends.up_to(run.next_seq) if sum(sizes) <= run.spec["max_log_bytes"] else None
    data = [piece.data for piece in pieces]
    stdout, stderr = excerpts.texts(run.attempt_id, run.next_seq, data, sizes, stored)
    return {"stdout": stdout, "stderr": stderr, "stdout_bytes": sizes[0], "stderr_bytes": sizes[1]}


def columns(run: Run) -> dict[str, Any]:
    """What is written of it with its end."""
    seen = run.seen
    figures = run.usage.told(seen.started_at, seen.finished_at) if seen else run.usage.so_far()
    return {
        **figures,
        **texts(run),
        "docker_log": fitting.clean(run.engine_log.text(run.container_id)),
    }

"""What a host that was declared lost still had, when it comes back after all.

Its attempts have ended as lost, and their jobs may have run elsewhere since. So what is found of them is
never adopted: it is stopped, the rest of its log is stored, its exit code is noted beside the outcome that
stands, and it is removed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from jobs import batches, moves
from jobs.batches import Row
from jobs.models import Attempt, ContainerExecution
from jobs.states import DECLARED_LOST, AttemptState

ARCHIVABLE = f"a.state = '{AttemptState.ENDED}' AND a.failure_class = '{DECLARED_LOST}'"


def take(host_id: UUID, epoch: int, keys: Collection[tuple[UUID, int]]) -> list[Attempt]:
    """Those of the (job, attempt number) pairs that were declared lost on this host, now under our epoch."""
    lost = Attempt.objects.filter(
        host_id=host_id, state=AttemptState.ENDED, failure_class=DECLARED_LOST, epoch__lte=epoch
    )
    ours = lost.filter(job_id__in={job_id for job_id, _ in keys}).values_list("pk", "job_id", "number")
    ids = [pk for pk, job_id, number in ours if (job_id, number) in keys]
    if not ids:
        return []
    lost.filter(pk__in=ids).update(epoch=epoch)
    return list(Attempt.objects.filter(pk__in=ids, epoch=epoch))


_COLUMNS = {
    **moves.BASE_COLUMNS,
    **moves.fields_of(Attempt, "exit_code", "finished_at", "logs_complete", "logs_note"),
    **moves.fields_of(ContainerExecution, "stdout", "stderr", "stdout_bytes", "stderr_bytes"),
}


def finish(rows: Sequence[Row]) -> set[UUID]:
    """Note how the containers ended, and that their logs are whole; the outcomes stay what they are."""
    update = (
        "UPDATE jobs_attempt AS a SET exit_code = x.exit_code, finished_at = x.finished_at, "
        "logs_complete = x.logs_complete, logs_note = x.logs_note "
        f"FROM x WHERE a.id = x.attempt_id AND a.epoch = x.epoch AND {ARCHIVABLE}"
    )
    texts = ("stdout", "stderr", "stdout_bytes", "stderr_bytes")
    # Another attempt of the job may have ended since: then the texts that people see first are that one's.
    execution = (
        f"UPDATE jobs_containerexecution AS e SET {', '.join(f'{name} = m.{name}' for name in texts)} FROM m "
        "WHERE e.job_id = m.job_id AND e.attempt_number = m.number"
    )
    return batches.guarded(_COLUMNS, rows, update, [execution, moves.event("archived")])


def words(code: int | None) -> str:
    """What the timeline says of an archived container with this exit code."""
    ended = "how it had ended is not known" if code is None else f"it had ended with exit code {code}"
    return f"Its host, declared lost, came back: the container was not adopted; {ended}."

"""What is kept of ended jobs, and deleting the rest: in small batches, each a short transaction of its own.

A job is deleted whole, with its attempts, logs, measures and timeline. It stays while an engine may still
have a container of it, which nobody would know of any more; see `note_gone`. Logs may be deleted earlier
than their jobs; the attempt then says so. Nothing here touches a job that has not ended: its row is locked
and looked at again in the transaction that deletes, so a retry or restart comes before it, or finds no job.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta
from itertools import accumulate, takewhile
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, Model, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Concat, Left, Now, Trim

from hosts import retention
from hosts.leases import Lease
from hosts.models import HostLease, HostSample
from jobs import totals, trends
from jobs.models import Attempt, ContainerExecution, ContainerJob, LogChunk, UsageSample
from jobs.models.job import Hold

MAX_JOBS = 100
MAX_ATTEMPTS = 200
MAX_CHUNKS = 500
MAX_LOG_BYTES = 16 * 1024 * 1024
_MAX_NOTED = 5000
# A list of containers may be half a minute old when it is looked at.
_SETTLED = timedelta(seconds=60)
_NOTE_LENGTH: int = Attempt._meta.get_field("logs_note").max_length or 0
_NOTE_OF_JOBS = "Deleted by retention, which deletes the job next."


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How long what is kept, and how many of it, the newest first; 0: without limit.

    Logs are counted by launches, and of samples as many readings of containers as of hosts are kept.
    """

    jobs_days: float = 0.0
    jobs_count: int = 0
    logs_days: float = 0.0
    logs_count: int = 0
    samples_days: float = 0.0
    samples_count: int = 0
    tallies_days: float = 0.0

    @classmethod
    def of_settings(cls) -> Policy:
        """What the settings say."""
        return cls(
            jobs_days=settings.TALLYMAN_KEEP_JOBS_DAYS,
            jobs_count=settings.TALLYMAN_KEEP_JOBS_COUNT,
            logs_days=settings.TALLYMAN_KEEP_LOGS_DAYS,
            logs_count=settings.TALLYMAN_KEEP_LOGS_COUNT,
            samples_days=settings.TALLYMAN_KEEP_SAMPLES_DAYS,
            samples_count=settings.TALLYMAN_KEEP_SAMPLES_COUNT,
            tallies_days=settings.TALLYMAN_KEEP_TALLIES_DAYS,
        )


class Sweep:
    """Sums up what is long over, and deletes what a policy does not keep; `deleted` counts that, by kind."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.deleted: Counter[str] = Counter()
        self._batches: deque[Callable[[], bool]] = deque(self._due())
        self._oldest_kept: dict[str, Any] = {}

    def step(self) -> bool:
        """Do one batch, of each kind in turn; False when nothing is left that can be done now."""
        while self._batches:
            if self._batches[0]():
                self._batches.rotate(-1)
                return True
            self._batches.popleft()
        return False

    def _due(self) -> Iterable[Callable[[], bool]]:
        policy = self._policy
        yield trends.sum_up_hours  # before tallies may go
        if policy.jobs_count:
            yield self._jobs_over_count
        if policy.jobs_days:
            yield lambda: self._jobs(Q(completed_at__lt=Now() - timedelta(days=policy.jobs_days)))
        if policy.logs_days:
            yield self._old_logs
        if policy.logs_count:
            yield self._logs_over_count
        if policy.samples_count:
            yield lambda: self._readings_over_count(UsageSample)
            yield lambda: self._readings_over_count(HostSample)
        if policy.samples_days:
            yield lambda: self._count("readings", _drop_readings(policy.samples_days))
            yield lambda: self._count("readings", retention.drop_samples(policy.samples_days))
            yield lambda: self._count("requests", retention.drop_requests(policy.samples_days))
        if policy.tallies_days:
            yield lambda: self._count("tallies", totals.fold_oldest(policy.tallies_days))

    def _count(self, kind: str, count: int) -> bool:
        if count:
            self.deleted[kind] += count
        return count > 0

    def _oldest(self, kind: str, find: Callable[[], Any]) -> Any:
        """The key of the oldest one that is kept: looked up once, as it is as many rows into an index."""
        if self._oldest_kept.get(kind) is None:
            self._oldest_kept[kind] = find()
        return self._oldest_kept[kind]

    def _jobs_over_count(self) -> bool:
        newest = ContainerJob.objects.filter(completed_at__isnull=False).order_by("-completed_at")
        oldest = self._oldest("jobs", lambda: _place(newest, self._policy.jobs_count))
        if oldest is None:
            return False
        # By its own column: SQLite compares texts, and a moment read from one is written in another way.
        kept = ContainerJob.objects.filter(pk=oldest).values("completed_at")
        return self._jobs(Q(completed_at__lt=Subquery(kept)))

    def _jobs(self, old: Q) -> bool:
        with transaction.atomic():
            due = deletable().filter(old).order_by("completed_at").select_for_update(skip_locked=True)
            jobs = list(due.values_list("pk", flat=True)[:MAX_JOBS])
            if not jobs:
                return False
            attempts = Attempt.objects.filter(job_id__in=jobs)
            if _has_much(attempts):
                drop_logs(attempts, _NOTE_OF_JOBS)
                _drop_usage(attempts)
                return True
            ContainerJob.objects.filter(pk__in=jobs).delete()
        return self._count("jobs", len(jobs))

    def _old_logs(self) -> bool:
        days = self._policy.logs_days
        note = f"Deleted by retention, which keeps logs for {days:g} day{'' if days == 1 else 's'}."
        return self._logs(Q(ended_at__lt=Now() - timedelta(days=days)), note)

    def _logs_over_count(self) -> bool:
        count = self._policy.logs_count
        newest = Attempt.objects.filter(ended_at__isnull=False, logs_deleted_at=None).order_by("-ended_at")
        oldest = self._oldest("logs", lambda: _place(newest, count))
        if oldest is None:
            return False
        kept = Attempt.objects.filter(pk=oldest).values("ended_at")
        note = f"Deleted by retention, which keeps the log{'' if count == 1 else 's'} of {_launches(count)}."
        return self._logs(Q(ended_at__lt=Subquery(kept)), note)

    def _logs(self, old: Q, note: str) -> bool:
        with transaction.atomic():
            dropped = drop_logs(Attempt.objects.filter(old), note)
        if dropped is None:
            return False
        self.deleted["logs"] += dropped
        return True

    def _readings_over_count(self, model: type[Model]) -> bool:
        count = self._policy.samples_count
        oldest = self._oldest(model.__name__, lambda: retention.oldest_kept(model, count))
        return oldest is not None and self._count("readings", retention.drop_before(model, oldest))


def _place(newest: QuerySet[Any], count: int) -> UUID | None:
    key: UUID | None = newest.values_list("pk", flat=True)[count - 1 : count].first()
    return key


def _launches(count: int) -> str:
    return "the newest launch" if count == 1 else f"the newest {count} launches"


def deletable() -> QuerySet[ContainerJob]:
    """Ended jobs that no container and no waiting restart needs any more."""
    # Each in the words of an index that holds few rows: the planner likes to look through all of them.
    attempts = Attempt.objects.filter(job=OuterRef("pk"))
    containers = attempts.filter(ended_at__isnull=False, container_gone_at=None, host__archived_at=None)
    restarts = ContainerJob.objects.pending().filter(restarted_from=OuterRef("pk"), hold=Hold.RESTART)
    return ContainerJob.objects.ended().filter(
        ~Exists(containers), ~Exists(attempts.open()), ~Exists(restarts)
    )


def drop_logs(attempts: QuerySet[Attempt], note: str) -> int | None:
    """Delete a batch of stored logs, oldest attempts first; how many are gone now. None: there are none.

    Call it inside a transaction. A log of which a part goes has the note from then on. The excerpts of the
    job's execution go with the log.
    """
    having = attempts.filter(ended_at__isnull=False, logs_deleted_at=None).order_by("ended_at")
    locked = dict(having.select_for_update(skip_locked=True).values_list("pk", "next_seq")[:MAX_ATTEMPTS])
    if not locked:
        return None
    chunks = list(
        LogChunk.objects.filter(attempt_id__in=[key for key, count in locked.items() if count])
        .order_by("attempt_id", "seq")
        .values_list("pk", "attempt_id", "raw_bytes")[:MAX_CHUNKS]
    )
    sizes = accumulate(size for _, _, size in chunks)
    count = max(1, len(list(takewhile(lambda size: size <= MAX_LOG_BYTES, sizes))))
    LogChunk.objects.filter(pk__in=[key for key, _, _ in chunks[:count]]).delete()
    touched = {attempt for _, attempt, _ in chunks[:count]}
    written = Concat(F("logs_note"), Value(" "), Value(note))
    noted = Attempt.objects.filter(pk__in=touched).exclude(logs_note__endswith=note)
    noted.update(logs_note=Left(Trim(written), _NOTE_LENGTH))
    return _note_dropped(_complete(locked, chunks, count), locked)


def _complete(locked: Collection[UUID], chunks: list[tuple[Any, UUID, int]], count: int) -> list[UUID]:
    """The attempts that have no chunk left after the first `count` were deleted."""
    if count < len(chunks):
        first_left = chunks[count][1]
    elif len(chunks) == MAX_CHUNKS:
        first_left = chunks[-1][1]
    else:
        return list(locked)
    return [key for key in locked if key < first_left]


def _note_dropped(keys: list[UUID], chunk_counts: dict[UUID, int]) -> int:
    gone = Attempt.objects.filter(pk__in=keys)
    gone.update(logs_deleted_at=Now())
    shown = ContainerExecution.objects.filter(
        job__attempts__in=keys, attempt_number=F("job__attempts__number")
    ).exclude(stdout="", stderr="")
    shown.update(stdout="", stderr="")
    return sum(chunk_counts[key] > 0 for key in keys)


def _has_much(attempts: QuerySet[Attempt]) -> bool:
    """Whether the attempts have more logs or readings than one transaction should delete."""
    sizes = LogChunk.objects.filter(attempt__in=attempts).values_list("raw_bytes", flat=True)[:MAX_CHUNKS]
    total = list(sizes)
    if len(total) == MAX_CHUNKS or (len(total) > 1 and sum(total) > MAX_LOG_BYTES):
        return True
    return UsageSample.objects.filter(attempt__in=attempts).order_by()[retention.MAX_ROWS :].exists()


def _drop_readings(days: float) -> int:
    return retention.drop_oldest(UsageSample, "at", days=days)


def _drop_usage(attempts: QuerySet[Attempt]) -> None:
    readings = UsageSample.objects.filter(attempt__in=attempts).order_by()
    UsageSample.objects.filter(
        pk__in=list(readings.values_list("pk", flat=True)[: retention.MAX_ROWS])
    ).delete()


def note_gone(host_id: UUID, present: Collection[UUID], *, lease: Lease | None = None) -> int:
    """Of the host's ended attempts, note those whose container its engine has not; how many.

    `present` are the jobs of the containers that the engine, known to be the host's, has listed just now.
    With a lease, only while it is ours.
    """
    return gone(host_id, present, lease=lease).update(container_gone_at=Now())


def gone(host_id: UUID, present: Collection[UUID], *, lease: Lease | None = None) -> QuerySet[Attempt]:
    """Those that `note_gone` would note."""
    waiting = Attempt.objects.filter(
        host_id=host_id, container_gone_at=None, ended_at__lt=Now() - _SETTLED
    ).exclude(job_id__in=present)
    if lease:
        ours = HostLease.objects.filter(host=host_id, epoch=lease.epoch, owner=lease.owner)
        waiting = waiting.filter(Exists(ours))
    first = waiting.order_by("ended_at").values("pk")[:_MAX_NOTED]
    return Attempt.objects.filter(pk__in=first)

"""Watching a job until it ends, by looking into the database: its log, why it waits, who could run it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection

from admin_ui import presenters
from admin_ui.cli import lookup
from admin_ui.cli.exits import Exit, failure
from admin_ui.cli.interrupts import Interrupts
from admin_ui.cli.output import Output
from hosts.executors import frames
from jobs import logs
from jobs.models import Attempt, ContainerJob
from jobs.states import ENDED_STATUSES, JobStatus
from supervisor.processes import is_supervised

LOOK_EVERY_SECONDS = 0.2
# Long enough for a supervisor to be restarted, short enough to be told within ten seconds.
NOBODY_FOR_SECONDS = 6.0
_ASK_FOR_SUPERVISOR_EVERY_SECONDS = 1.0
_SAY_PHASE_EVERY_SECONDS = 5.0
_DATABASE_AWAY_FOR_SECONDS = 60.0


class StoppedWaiting(Exception):
    """A Ctrl-C ended the waiting; the job goes on without us."""


class LogPrinter:
    """Prints what a job's attempts wrote, from a certain attempt on, each byte once."""

    def __init__(self, job_id: UUID, out: Output, *, from_attempt: int = 1) -> None:
        self._job_id, self._out = job_id, out
        self._reader: logs.Reader | None
        self._begin(from_attempt)

    def _begin(self, number: int) -> None:
        self._number, self._reader = number, None
        self._joiners = {frames.STDOUT: frames.Joiner(), frames.STDERR: frames.Joiner()}

    def print_new(self) -> None:
        """Print what was stored since the last time."""
        attempts = Attempt.objects.filter(job_id=self._job_id, number__gte=self._number).order_by("number")
        for number, attempt_id in list(attempts.values_list("number", "pk")):
            if number != self._number:
                self._begin(number)
            self._reader = self._reader or logs.Reader(attempt_id)
            for chunk in self._reader.new():
                self._say_what_is_left_out(chunk.left_out)
                self._print(chunk.data)

    def _say_what_is_left_out(self, left_out: Mapping[int, int]) -> None:
        """A remark, so that the container's bytes stay what they are."""
        for stream, size in left_out.items():
            self._joiner(stream).skip()
            self._out.remark(logs.mark(size, frames.NAMES[stream]))

    def _print(self, data: bytes) -> None:
        parts = [(frame.stream, self._joiner(frame.stream).payload(frame)) for frame in frames.walk(data)]
        for stream, group in itertools.groupby(parts, key=itemgetter(0)):
            self._out.bytes(b"".join(payload for _, payload in group), stream)

    def _joiner(self, stream: int) -> frames.Joiner:
        return self._joiners.get(stream, self._joiners[frames.STDOUT])


@dataclass(slots=True, kw_only=True)
class Follower:
    """Waits for a job's end. `on_interrupt` gets the count of Ctrl-C so far, and may raise StoppedWaiting."""

    job_id: UUID
    out: Output
    interrupts: Interrupts
    on_interrupt: Callable[[int], None]
    log: LogPrinter | None = None
    clock: Callable[[], float] = time.monotonic
    _interrupts_seen: int = 0
    _reason: str = ""
    _phase: str = ""
    _phase_at: float = field(default=float("-inf"))
    _asked_at: float = field(default=float("-inf"))
    _supervised_at: float | None = None
    _answered_at: float | None = None

    def until_end(self) -> ContainerJob:
        """The job once it has ended and all of its log is printed; CommandError if nobody can run it."""
        while True:
            job = self._look()
            if job is not None and job.status in ENDED_STATUSES:
                return job
            self.interrupts.wait(LOOK_EVERY_SECONDS)
            if self.interrupts.count > self._interrupts_seen:
                self._interrupts_seen = self.interrupts.count
                self.on_interrupt(self._interrupts_seen)

    def _look(self) -> ContainerJob | None:
        """The job as it is now; None while the database does not answer."""
        try:
            # The job first: whoever sees it ended can read its whole log.
            job = lookup.job(self.job_id)
            if self.log is not None:
                self.log.print_new()
            if job.status not in ENDED_STATUSES:
                self._say_why_it_waits(job)
                self._say_what_it_does(job)
                self._require_supervisor(job)
        except (OperationalError, InterfaceError):
            if not self._database_may_come_back():
                raise
            connection.close()
            return None
        self._answered_at = self.clock()
        return job

    def _say_why_it_waits(self, job: ContainerJob) -> None:
        reason = job.pending_reason if job.status == JobStatus.PENDING else ""
        if reason and reason != self._reason:
            self.out.remark(f"Waiting: {reason}")
        self._reason = reason

    def _say_what_it_does(self, job: ContainerJob) -> None:
        """How far its pull is: at once, then every few seconds."""
        if job.status != JobStatus.STARTING or self.clock() - self._phase_at < _SAY_PHASE_EVERY_SECONDS:
            return
        current = Attempt.objects.filter(job_id=job.pk, number=job.attempt_count)
        phase = current.values_list("phase", flat=True).first()
        if phase and phase != self._phase:
            self.out.remark(presenters.printable(phase))
            self._phase, self._phase_at = phase, self.clock()

    def _require_supervisor(self, job: ContainerJob) -> None:
        now = self.clock()
        if self._supervised_at is None:
            self._supervised_at = now
        if now - self._asked_at < _ASK_FOR_SUPERVISOR_EVERY_SECONDS:
            return
        self._asked_at = now
        if is_supervised():
            self._supervised_at = now
        elif now - self._supervised_at > NOBODY_FOR_SECONDS:
            raise failure(
                "no supervisor is running; start one with `manage.py supervise`. "
                f"Job {job.pk} stays {job.status} until then. {how_to_look(job.pk)}",
                Exit.TRY_LATER,
            )

    def _database_may_come_back(self) -> bool:
        # Supervisors could not write their heartbeats either: they get their time anew.
        self._supervised_at = None
        answered_at = float("-inf") if self._answered_at is None else self._answered_at
        return self.clock() - answered_at < _DATABASE_AWAY_FOR_SECONDS


def how_to_look(job_id: UUID) -> str:
    """A sentence for somebody who stops waiting."""
    return f"Look at it with: manage.py manage_container_job show {job_id} --follow"

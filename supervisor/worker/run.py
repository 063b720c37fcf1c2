"""One open attempt, as its worker sees it: what was written, what is in flight, what must happen next.

A run holds no thread, client or connection. The worker's main thread asks `next_step` what to hand to an
engine thread, tells it what came back (`supervisor.worker.progress`), and writes `move` to the database.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any
from uuid import UUID

from hosts.executors.contract import JobView, Observation
from jobs import outcome, spec
from jobs.excerpts import Ends
from jobs.measures import Series, UsageTotals
from jobs.models import Attempt
from jobs.outcome import Verdict, start_deadline_passed
from jobs.states import NOT_STARTED, POISON_AFTER, SLOT_HOLDING, AttemptState, Outcome
from supervisor.worker.engine_log import EngineLog
from supervisor.worker.log_news import PieceRead

_BACKOFF_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
GIVE_UP_AFTER = 5
_NOTHING_STARTED = "Nothing was started; the job is tried again by itself a few times."
OBSERVE_EVERY_SECONDS = 15.0


class Need(Enum):
    """What has to happen next at the engine."""

    ENSURE = auto()  # make the container, or find out what has its name
    PULL = auto()
    START = auto()
    OBSERVE = auto()  # ask what became of it
    WATCH = auto()  # it runs: nothing, until a hint, the deadline or the next regular look
    SIGNAL = auto()
    DISCARD = auto()  # delete a container that never started, then make it anew
    CLEAR = auto()  # get an ended attempt's container out of the way, then make ours
    WITHDRAW = auto()  # see that there is no container, then end
    COLLECT = auto()  # it has exited: complete its log
    END = auto()  # everything is known: write it
    REMOVE = auto()  # ended: delete the container
    GONE = auto()  # nothing is left to do


class LogStage(Enum):
    """How far the reading of the log is."""

    NONE = auto()
    OPENING = auto()
    FOLLOWING = auto()
    ENDED = auto()  # the followed stream came to its end, or broke
    LAST_OPENING = auto()
    LAST = auto()  # the one read without follow after the exit
    DONE = auto()


# A tuple, as in all that is asked of each run in each turn: to hash an Enum takes longer than to compare it.
_BEING_READ = (LogStage.OPENING, LogStage.LAST_OPENING, LogStage.LAST)


@dataclass(slots=True)
class Move:
    """A pending write of the attempt's row; `kind` is a function of `jobs.moves`.

    It may wait until `due_clock`: what a container comes to in its first moment is written in one go.
    """

    kind: str
    row: dict[str, Any]
    then: Need
    due_clock: float = 0.0


@dataclass(slots=True)
class Run:
    """See the module. Times named `*_clock` are on the boot clock."""

    attempt_id: UUID
    job_id: UUID
    number: int
    epoch: int
    container_name: str
    spec: Mapping[str, Any]
    state: AttemptState
    infra_failures: int = 0
    worker_kills: int = 0
    archived: bool = False  # its attempt has ended; see supervisor.worker.archive
    container_id: str = ""
    discarding_id: str = ""
    stop_reason: str = ""
    stopping_at: Any = None
    need: Need = Need.ENSURE
    busy: bool = False
    resume_clock: float = 0.0
    trouble: int = 0
    last_trouble: str = ""
    trouble_class: str = ""
    trouble_hint: str = ""
    absent: int = 0
    start_sent: bool = False
    is_starting: bool = False  # the engine has taken the start on, and its container does not run yet
    starting_looks: int = 0
    waits_for: str = ""  # what keeps it from running meanwhile, in its engine's words
    failed_starts: int = 0
    withdrawing: bool = False
    start_deadline_clock: float | None = None
    pulls: int = 0
    phase: str = ""  # as it stands in the row
    move: Move | None = None
    view: JobView | None = None
    cancel_wanted: bool = False
    drained: bool = False
    cancel_force: bool = False
    deadline_clock: float | None = None
    kill_clock: float | None = None
    signal: str = ""
    signalled_at: Any = None  # by the engine's clock: when it told of a signal of ours
    oom_seen: bool = False
    killed_outside: bool = False
    engine_away: bool = False
    look_clock: float = 0.0
    heard_die: bool = False
    described: bool = False
    stored_metadata: Mapping[str, Any] = field(default_factory=dict)  # of a container made by a former owner
    seen: Observation | None = None
    doomed: Observation | None = None
    verdict: Verdict | None = None
    rejected_exit_code: int | None = None
    retry_delay_seconds: float | None = None
    log: LogStage = LogStage.NONE
    log_clock: float = 0.0
    followed_to_end: bool = False  # the last source was followed until the engine ended it in good order
    log_end: bytes = b""  # the last frames of a log followed to its end, for `Resume.end`
    vain_reads: int = 0
    pieces: deque[PieceRead] = field(default_factory=deque)
    freed_bytes: int = 0  # of pieces that are stored, and that the log pump was not told of yet
    next_seq: int = 0
    stdout_bytes: int = 0
    stderr_bytes: int = 0
    log_lines: int = 0
    log_ends: Ends = field(default_factory=Ends)  # of what this worker stored
    tail_seq: int = 0  # where the kept tail of a log over its cap begins, as far as it is known
    logs_note: str = ""
    usage: UsageTotals = field(default_factory=UsageTotals)
    series: Series = field(default_factory=Series)
    engine_log: EngineLog = field(default_factory=EngineLog)

    @classmethod
    def of(cls, attempt: Attempt, *, infra_failures: int) -> Run:
        """A run of an attempt that was claimed just now, or found open at the worker's start."""
        return cls(
            attempt_id=attempt.id,
            job_id=attempt.job_id,
            number=attempt.number,
            epoch=attempt.epoch,
            container_name=attempt.container_name,
            spec=spec.complete(attempt.spec),
            state=AttemptState(attempt.state),
            infra_failures=infra_failures,
            worker_kills=attempt.worker_kills,
            container_id=attempt.container_id,
            discarding_id=attempt.discarding_id,
            stop_reason=attempt.stop_reason,
            phase=attempt.phase,
            stopping_at=attempt.stopping_at,
            need=_first_need(attempt),
            seen=_stored_exit(attempt),
            next_seq=attempt.next_seq,
            stdout_bytes=attempt.stdout_bytes,
            stderr_bytes=attempt.stderr_bytes,
            log_lines=attempt.stdout_lines + attempt.stderr_lines,
            logs_note=attempt.logs_note,
        )

    @property
    def holds_slot(self) -> bool:
        """Whether it counts against the host's room: as its row says, which may not tell of its exit yet."""
        return self.state in SLOT_HOLDING or self.untold_exit is not None

    @property
    def untold_start(self) -> Move | None:
        """The write that tells that it was started, while that may wait."""
        return self.move if self.move and self.move.kind == "to_running" and self.move.due_clock else None

    @property
    def untold_exit(self) -> Move | None:
        """The write that tells that it has exited, while that may wait for its end."""
        return self.move if self.move and self.move.kind == "to_exited" and self.move.due_clock else None

    @property
    def is_poison(self) -> bool:
        """Whether it killed so many workers that nothing its engine says of it is looked at any more."""
        return self.worker_kills >= POISON_AFTER

    @property
    def waits_for_pull(self) -> bool:
        """Whether its image is on its way, and nothing else is in flight for it."""
        return self.busy and self.need is Need.PULL

    @property
    def awaits_answer(self) -> bool:
        """Whether something is in flight for it that does not take long."""
        return (self.busy and self.need is not Need.PULL) or self.log in _BEING_READ

    @property
    def ref(self) -> str:
        """What to ask the engine for: the id where it is known, else the name."""
        return self.container_id or self.container_name

    def prepare(self, kind: str, then: Need, message: str = "", **columns: Any) -> None:
        """Ask the main thread to write a move, at once; `then` is needed once it held."""
        if self.archived:  # there is nothing left to write but its end
            self.state = AttemptState.EXITED if kind == "to_exited" else self.state
            self.need = then
            return
        self.move = Move(kind, {**self.identity, "message": message, **columns}, then)

    @property
    def identity(self) -> dict[str, Any]:
        """What every guarded write of it names."""
        return {
            "attempt_id": self.attempt_id,
            "job_id": self.job_id,
            "number": self.number,
            "epoch": self.epoch,
        }

    def note_trouble(self, message: str, now: float, *, failure_class: str = "", hint: str = "") -> None:
        """Try the same again later; the wait grows with each time in a row."""
        before = max(self.trouble, self.failed_starts)
        wait = _BACKOFF_SECONDS[min(before, len(_BACKOFF_SECONDS) - 1)]
        self.trouble += 1
        self.last_trouble, self.trouble_class, self.trouble_hint = message, failure_class, hint
        self.resume_clock = now + wait

    def note_answer(self) -> None:
        """The engine answered: forget earlier trouble."""
        self.trouble = 0
        self.absent = 0


def _first_need(attempt: Attempt) -> Need:
    if attempt.discarding_id and attempt.state in NOT_STARTED:
        return Need.DISCARD  # its former owner began to, and only the engine knows how far it came
    claimed = attempt.state in (AttemptState.CLAIMED, AttemptState.PULLING)
    unmade = attempt.state == AttemptState.CREATED and not attempt.container_id
    return Need.ENSURE if claimed or unmade else Need.OBSERVE


def _stored_exit(attempt: Attempt) -> Observation | None:
    """The exit that the row tells, for a container that may be gone when it is looked for again."""
    if attempt.state != AttemptState.EXITED:
        return None
    return Observation(
        container_id=attempt.container_id,
        name=attempt.container_name,
        state="exited",
        labels={},
        exit_code=attempt.exit_code,
        oom_killed=attempt.oom_killed,
        started_at=attempt.started_at,
        finished_at=attempt.finished_at,
    )


def next_step(run: Run, now: float) -> Need | None:
    """What to hand to an engine thread now; None if nothing, or not yet."""
    if run.busy or now < run.resume_clock:
        return None
    if run.move:
        return Need.OBSERVE if run.untold_start and now >= run.look_clock else None
    if run.need is Need.WATCH:
        return Need.OBSERVE if now >= run.look_clock else None
    if run.need in (Need.COLLECT, Need.END, Need.GONE):
        return None
    if run.need in (Need.ENSURE, Need.PULL, Need.START) and must_withdraw(run, now):
        return Need.WITHDRAW
    return run.need


def must_withdraw(run: Run, now: float) -> bool:
    """Whether an attempt of which nothing was started is to end without one."""
    # After a start was sent, or on the way to it, only the engine knows: observe, then stop.
    if run.state not in NOT_STARTED or run.start_sent:
        return False
    unwanted = run.withdrawing or run.cancel_wanted or run.is_poison or run.drained
    tried_enough = max(run.trouble, run.failed_starts) >= GIVE_UP_AFTER
    return unwanted or tried_enough or is_late(run, now)


def is_late(run: Run, now: float) -> bool:
    """Whether it was to have started by now."""
    return run.start_deadline_clock is not None and now >= run.start_deadline_clock


def outcome_of_withdrawal(run: Run, now: float) -> Verdict:
    """The verdict for an attempt of which nothing was started."""
    if run.cancel_wanted:
        return Verdict(
            outcome=Outcome.CANCELLED,
            failure_class="cancelled",
            message="It was cancelled before it started.",
        )
    if run.is_poison:
        return outcome.kills_worker(started=False)
    if run.drained:
        return Verdict(
            outcome=Outcome.INFRA,
            failure_class="drained",
            message="Its host was drained before it started.",
            hint=_NOTHING_STARTED,
        )
    if is_late(run, now):
        return start_deadline_passed(run.spec["start_deadline_seconds"])
    return Verdict(
        outcome=Outcome.INFRA,
        failure_class=run.trouble_class or "engine_trouble",
        message=f"It could not be started: {run.last_trouble}",
        hint=f"{run.trouble_hint or 'Look at the host.'} {_NOTHING_STARTED}",
    )

"""How far the reading of each log is: followed while it runs, read once more after the exit, then done."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from hosts.errors import ContainerExecutionError
from hosts.executors import frames
from hosts.executors.docker import DockerExecutor
from hosts.executors.log_source import Resume
from jobs import logs
from jobs.logs import Piece
from jobs.models import Attempt
from jobs.states import AttemptState
from supervisor.worker.log_pump import LogEnded, LogMoves, PieceRead
from supervisor.worker.logbook import Logbook
from supervisor.worker.run import LogStage, Need, Run
from supervisor.worker.steps import StepDone
from tests.supervisor.log_sources import PolledSource
from tests.supervisor.runs import AWAY, NOW, make_run, observation

GONE = ContainerExecutionError("no such container", failure_class="log_missing")


class FakePump:
    def __init__(self) -> None:
        self.orders: list[tuple[Any, ...]] = []

    def follow(self, run_id: UUID, source: PolledSource) -> None:
        self.orders.append(("follow", source))

    def drop(self, run_id: UUID) -> None:
        self.orders.append(("drop",))

    def stored(self, run_id: UUID, held: int) -> None:
        self.orders.append(("stored", held))


class FakeEngine:
    """Notes what is asked of it; `opened` says how each log was asked for: followed or not."""

    executor = DockerExecutor  # for what its class says of its logs

    def __init__(self) -> None:
        self.pump = FakePump()
        self.opened: list[bool] = []
        self.resumes: list[Resume] = []

    def step(
        self, _run_id: UUID, name: str, _call: Callable[..., Any], _ref: str, resume: Resume, *, follow: bool
    ) -> None:
        assert name == "LOG"
        self.opened.append(follow)
        self.resumes.append(resume)


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def logbook(engine: FakeEngine) -> Logbook:
    return Logbook(engine)  # type: ignore[arg-type]


def running(**fields: Any) -> Run:
    return make_run(
        AttemptState.RUNNING, **{"need": Need.WATCH, "container_id": "c1", "described": True, **fields}
    )


def exited(log: LogStage = LogStage.NONE, **fields: Any) -> Run:
    return make_run(AttemptState.EXITED, need=Need.COLLECT, container_id="c1", log=log, **fields)


def opened(logbook: Logbook, run: Run, *, error: Exception | None = None, now: float = NOW) -> PolledSource:
    source = PolledSource()
    result = None if error else source
    logbook.opened(run, StepDone(run.attempt_id, "LOG", result=result, error=error), now)
    return source


def piece(run: Run) -> PieceRead:
    data = frames.pack(frames.STDOUT, frames.stamp(0), b"x\n")
    return PieceRead(run.attempt_id, Piece(zlib.compress(data), frames.tally(data)), len(data))


def test_a_running_containers_log_is_followed(logbook: Logbook, engine: FakeEngine) -> None:
    run = running()
    logbook.advance(run, NOW)
    source = opened(logbook, run)
    logbook.advance(run, NOW + 100)
    assert (engine.opened, engine.pump.orders) == ([True], [("follow", source)])


@pytest.mark.parametrize("fields", [{"described": False}, {"need": Need.OBSERVE}])
def test_nothing_is_followed_before_the_engine_showed_that_it_runs(
    logbook: Logbook, engine: FakeEngine, fields: dict[str, Any]
) -> None:
    logbook.advance(running(**fields), NOW)
    assert engine.opened == []


@pytest.mark.parametrize("state", [AttemptState.CLAIMED, AttemptState.PULLING, AttemptState.CREATED])
def test_nothing_is_read_of_what_was_not_started(
    logbook: Logbook, engine: FakeEngine, state: AttemptState
) -> None:
    logbook.advance(make_run(state), NOW)
    assert engine.opened == []


def test_a_followed_log_that_breaks_is_opened_again_after_a_moment(
    logbook: Logbook, engine: FakeEngine
) -> None:
    run = running()
    logbook.advance(run, NOW)
    opened(logbook, run)
    logbook.take(run, LogEnded(run.attempt_id, "cut off"), NOW)
    logbook.advance(run, NOW + 0.9)
    assert engine.opened == [True]
    logbook.advance(run, NOW + 1)
    assert engine.opened == [True, True]


def test_a_log_that_cannot_be_opened_is_tried_again_after_a_moment(
    logbook: Logbook, engine: FakeEngine
) -> None:
    run = running()
    for turn in range(3):
        logbook.advance(run, NOW + turn)
        opened(logbook, run, error=AWAY, now=NOW + turn)
        logbook.advance(run, NOW + turn + 0.5)
    assert engine.opened == [True, True, True]


def test_the_end_of_a_followed_log_makes_the_worker_look_at_the_container(logbook: Logbook) -> None:
    run = running(log=LogStage.FOLLOWING, look_clock=NOW + 15)
    logbook.take(run, LogEnded(run.attempt_id), NOW)
    assert run.look_clock == NOW


def test_a_short_job_is_read_once_after_its_exit(logbook: Logbook, engine: FakeEngine) -> None:
    run = exited()
    logbook.advance(run, NOW)
    source = opened(logbook, run)
    logbook.take(run, piece(run), NOW)
    logbook.take(run, LogEnded(run.attempt_id), NOW)
    logbook.advance(run, NOW)
    assert (engine.opened, engine.pump.orders) == ([False], [("follow", source)])
    assert (run.need, len(run.pieces)) == (Need.END, 1)


def test_after_the_exit_a_followed_log_comes_to_its_end_before_the_last_read(
    logbook: Logbook, engine: FakeEngine
) -> None:
    run = exited(LogStage.FOLLOWING)
    logbook.advance(run, NOW)
    assert engine.opened == []
    logbook.take(run, LogEnded(run.attempt_id), NOW)
    logbook.advance(run, NOW)
    assert engine.opened == [False]


def test_a_followed_log_that_does_not_end_is_given_up_for_the_last_read(
    logbook: Logbook, engine: FakeEngine
) -> None:
    run = exited(LogStage.FOLLOWING)
    logbook.advance(run, NOW)
    logbook.advance(run, NOW + 4.9)
    assert engine.pump.orders == []
    logbook.advance(run, NOW + 5)
    assert engine.pump.orders == [("drop",)]


def test_the_last_read_waits_until_everything_before_it_is_stored(
    logbook: Logbook, engine: FakeEngine
) -> None:
    run = exited(LogStage.ENDED)
    logbook.take(run, piece(run), NOW)
    logbook.advance(run, NOW)
    assert engine.opened == []
    run.pieces.clear()
    logbook.advance(run, NOW)
    assert engine.opened == [False]


def test_a_last_read_that_broke_is_made_again(logbook: Logbook, engine: FakeEngine) -> None:
    run = exited(LogStage.LAST)
    logbook.take(run, LogEnded(run.attempt_id, "cut off"), NOW)
    logbook.advance(run, NOW)
    assert (engine.opened, run.need) == ([], Need.COLLECT)
    logbook.advance(run, NOW + 1)
    assert engine.opened == [False]


def test_a_last_read_in_which_the_engine_went_quiet_is_given_up(logbook: Logbook, engine: FakeEngine) -> None:
    run = exited()
    logbook.advance(run, NOW)
    opened(logbook, run)
    logbook.take(run, piece(run), NOW + 20)
    logbook.advance(run, NOW + 49)
    assert engine.pump.orders[1:] == []
    logbook.advance(run, NOW + 50)
    assert engine.pump.orders[1:] == [("drop",)]


def test_a_log_that_can_never_be_read_does_not_keep_the_job_from_ending(
    logbook: Logbook, engine: FakeEngine
) -> None:
    run, now = exited(), NOW
    while run.need is Need.COLLECT and len(engine.opened) < 1000:
        logbook.advance(run, now)
        opened(logbook, run, now=now)
        logbook.take(run, LogEnded(run.attempt_id, "it is damaged"), now)
        now += 1
        logbook.advance(run, now)
    assert run.need is Need.END
    assert "it is damaged" in run.logs_note
    assert 5 < len(engine.opened) < 50


def test_a_log_that_is_gone_when_it_is_opened_ends_the_reading_with_the_reason(logbook: Logbook) -> None:
    run = exited()
    logbook.advance(run, NOW)
    opened(logbook, run, error=GONE)
    logbook.advance(run, NOW)
    assert run.need is Need.END
    assert "no such container" in run.logs_note


def test_a_log_that_is_gone_when_it_is_read_ends_the_reading_with_the_reason(logbook: Logbook) -> None:
    run = exited(LogStage.LAST)
    logbook.take(run, LogEnded(run.attempt_id, str(GONE), is_gone=True), NOW)
    logbook.advance(run, NOW)
    assert run.need is Need.END
    assert "no such container" in run.logs_note


def test_what_comes_for_a_run_that_was_let_go_is_let_go_too(logbook: Logbook, engine: FakeEngine) -> None:
    run = running()
    source = opened(logbook, run)
    logbook.opened(None, StepDone(run.attempt_id, "LOG", result=source), NOW)
    read = piece(run)
    logbook.take(None, read, NOW)
    logbook.take(None, LogEnded(run.attempt_id), NOW)
    assert source.closed
    assert engine.pump.orders[1:] == [("stored", read.held)]


def test_a_followed_log_that_still_brings_something_after_the_exit_is_followed_on(
    logbook: Logbook, engine: FakeEngine
) -> None:
    run = exited(LogStage.FOLLOWING)
    logbook.advance(run, NOW)
    logbook.take(run, piece(run), NOW + 4)
    logbook.advance(run, NOW + 8)
    assert engine.pump.orders == []
    logbook.advance(run, NOW + 9)
    assert engine.pump.orders == [("drop",)]


def test_a_last_read_that_only_passes_what_is_stored_is_not_quiet(
    logbook: Logbook, engine: FakeEngine
) -> None:
    run = exited()
    logbook.advance(run, NOW)
    opened(logbook, run)
    logbook.take(run, LogMoves(run.attempt_id), NOW + 29)
    logbook.advance(run, NOW + 58)
    assert engine.pump.orders[1:] == []


def test_what_a_source_knows_to_be_missing_is_noted(logbook: Logbook) -> None:
    run = exited(LogStage.LAST)
    logbook.take(run, LogEnded(run.attempt_id, missing="a part is gone"), NOW)
    assert (run.log, run.logs_note) == (LogStage.DONE, "a part is gone")


@pytest.mark.parametrize(("limit", "rotated"), [(None, False), (100_000, False), (4_000, True)])
def test_a_log_that_may_have_been_rotated_is_not_called_complete(
    logbook: Logbook, limit: int | None, rotated: bool
) -> None:
    run = exited(LogStage.LAST, stdout_bytes=1_000, log_lines=100)
    run.seen = observation(run, "exited", log_limit_bytes=limit)
    logbook.take(run, LogEnded(run.attempt_id), NOW)
    assert bool(run.logs_note) is rotated


END = frames.pack(frames.STDOUT, frames.stamp(0), b"a\n") + frames.pack(
    frames.STDOUT, frames.stamp(1), b"b\n"
)
COUNTED = {"next_seq": 3, "stdout_bytes": 20, "stderr_bytes": 10}


@pytest.fixture
def stored_tail(monkeypatch: pytest.MonkeyPatch) -> Resume:
    """What the database says of the stored log, to whoever asks it."""
    resume = Resume(newest="now", tail=b"all of the tail", stdout_bytes=20, stderr_bytes=10)
    monkeypatch.setattr(logs, "resume_point", lambda _attempt, **_how: resume)
    monkeypatch.setattr(Attempt.objects, "get", lambda **_which: None)
    return resume


def test_after_a_log_followed_to_its_end_the_last_read_looks_for_that_end(
    logbook: Logbook, engine: FakeEngine
) -> None:
    run = exited(LogStage.FOLLOWING, **COUNTED)
    logbook.take(run, LogEnded(run.attempt_id, end=END), NOW)
    logbook.advance(run, NOW)
    newest = frames.stamp(1).decode()
    assert engine.resumes == [Resume(newest=newest, end=END, stdout_bytes=20, stderr_bytes=10)]


def test_where_the_end_is_not_found_the_last_read_is_made_at_once_from_what_is_stored(
    logbook: Logbook, engine: FakeEngine, stored_tail: Resume
) -> None:
    run = exited(LogStage.FOLLOWING, **COUNTED)
    logbook.take(run, LogEnded(run.attempt_id, end=END), NOW)
    logbook.advance(run, NOW)
    opened(logbook, run)
    logbook.take(run, LogEnded(run.attempt_id, "not those that are stored"), NOW)
    logbook.advance(run, NOW)
    assert engine.resumes[1:] == [stored_tail]
    assert (engine.opened, run.vain_reads) == ([False, False], 0)
    opened(logbook, run)
    logbook.take(run, LogEnded(run.attempt_id), NOW)
    assert (run.log, run.logs_note) == (LogStage.DONE, "")


@pytest.mark.parametrize("end", [LogEnded(UUID(int=1), "cut off"), LogEnded(UUID(int=1))])
def test_without_a_known_end_the_last_read_is_made_from_what_is_stored(
    logbook: Logbook, engine: FakeEngine, stored_tail: Resume, end: LogEnded
) -> None:
    run = exited(LogStage.FOLLOWING, log_end=END, **COUNTED)
    logbook.take(run, end, NOW)
    logbook.advance(run, NOW + 1)
    assert engine.resumes == [stored_tail]


def test_a_log_that_is_followed_again_goes_on_from_what_is_stored(
    logbook: Logbook, engine: FakeEngine, stored_tail: Resume
) -> None:
    run = running(log=LogStage.FOLLOWING, **COUNTED)
    logbook.take(run, LogEnded(run.attempt_id, end=END), NOW)
    logbook.advance(run, NOW + 1)
    assert (engine.opened, engine.resumes) == ([True], [stored_tail])


def test_of_a_terminals_log_no_end_is_looked_for(
    logbook: Logbook, engine: FakeEngine, stored_tail: Resume
) -> None:
    run = exited(LogStage.FOLLOWING, **COUNTED)
    run.spec = {**run.spec, "tty": True}
    logbook.take(run, LogEnded(run.attempt_id, end=END), NOW)
    logbook.advance(run, NOW)
    assert engine.resumes == [stored_tail]

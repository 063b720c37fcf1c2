"""Moves of attempts, and the jobs that follow them. The end has a file of its own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db.models.functions import Now
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs import moves
from jobs.models import Attempt, ContainerJob, JobEvent
from jobs.states import COMES_FROM, NOT_STARTED, OPEN_STATES, AttemptState, Outcome, status_while
from tests.jobs.attempts import WHO, end, everything, make_attempt, row
from tests.support.factories import make_job

pytestmark = pytest.mark.django_db


def mover(move: Callable) -> Callable[..., bool]:
    return lambda attempt, **fields: attempt.id in move([row(attempt, **fields)])


MOVES: dict[AttemptState, Callable[..., bool]] = {
    AttemptState.PULLING: mover(moves.to_pulling),
    AttemptState.CREATED: mover(moves.fence),
    AttemptState.RUNNING: mover(moves.to_running),
    AttemptState.STOPPING: mover(moves.to_stopping),
    AttemptState.EXITED: mover(moves.to_exited),
    AttemptState.ENDED: end,
}
ALL = [*MOVES.values(), mover(moves.describe)]
NAMES = [*map(str, MOVES), "describe"]
every_move = pytest.mark.parametrize("move", ALL, ids=NAMES)


def origins(to: AttemptState) -> tuple[AttemptState, ...]:
    # A container that never started may be replaced by another: the fence is the one move that may repeat.
    return NOT_STARTED if to is AttemptState.CREATED else COMES_FROM[to]


def attempt_in(state: AttemptState, **fields) -> Attempt:
    return make_attempt(state, outcome=Outcome.USER if state is AttemptState.ENDED else "", **fields)


@pytest.mark.parametrize("to", MOVES)
@pytest.mark.parametrize("state", AttemptState)
def test_a_move_holds_from_earlier_states_only_and_else_writes_nothing(state, to):
    attempt = attempt_in(state)
    before = everything()
    assert MOVES[to](attempt) is (state in origins(to))
    attempt.refresh_from_db()
    assert attempt.state == (to if state in origins(to) else state)
    assert (everything() == before) is (state not in origins(to))


@every_move
def test_a_writer_of_another_epoch_writes_nothing_anywhere(move):
    attempt = make_attempt(epoch=7)
    before = everything()
    for epoch in (6, 8):
        attempt.epoch = epoch
        assert not move(attempt)
    assert everything() == before


@every_move
def test_an_attempt_that_is_not_there_writes_nothing(move):
    attempt = make_attempt()
    Attempt.objects.all().delete()
    before = everything()
    assert not move(attempt)
    assert everything() == before


@settings(max_examples=25)
@given(st.lists(st.sampled_from(list(MOVES)), max_size=8))
def test_no_sequence_of_moves_goes_back(wishes):
    attempt = make_attempt(job=make_job())
    states = [AttemptState.CLAIMED]
    for to in wishes:
        MOVES[to](attempt)
        states.append(AttemptState(Attempt.objects.values_list("state", flat=True).get(pk=attempt.pk)))
    order = list(AttemptState)
    assert [order.index(state) for state in states] == sorted(order.index(state) for state in states)
    kinds = JobEvent.objects.filter(job=attempt.job).values_list("kind", flat=True)
    assert {kind for kind in kinds if kind != "created"} == {*states} - {"claimed", "created"}


@pytest.mark.parametrize("to", [state for state in MOVES if state in OPEN_STATES])
def test_the_job_follows_its_current_attempt(to):
    attempt = make_attempt()
    MOVES[to](attempt)
    assert ContainerJob.objects.get().status == status_while(to)


@every_move
def test_a_job_does_not_follow_an_attempt_that_is_not_its_current_one(move):
    attempt = make_attempt()
    ContainerJob.objects.update(attempt_count=2, status="starting")
    before = ContainerJob.objects.values().get()
    assert move(attempt, executor_metadata={"changed": True})
    assert ContainerJob.objects.values().get() == before


@pytest.mark.parametrize("to", MOVES)
@pytest.mark.parametrize("status", ["pending", "completed", "cancelled"])
def test_a_job_that_is_not_open_stays_as_it_is(to, status):
    attempt = make_attempt()
    ContainerJob.objects.update(status=status)
    before = ContainerJob.objects.values().get()
    MOVES[to](attempt)
    assert ContainerJob.objects.values().get() == before


@pytest.mark.parametrize("to", MOVES)
def test_every_move_is_one_line_of_the_timeline(to):
    attempt = make_attempt()
    MOVES[to](attempt, message="because")
    event = JobEvent.objects.annotate(now=Now()).get()
    assert (event.job_id, event.attempt_number, event.kind) == (attempt.job_id, 1, to)
    assert (event.who, event.message) == (WHO, "because")
    assert abs(event.now - event.at) < timedelta(seconds=5)


def test_the_fence_notes_the_container_before_it_is_started():
    attempt = make_attempt()
    fence = MOVES[AttemptState.CREATED]
    assert fence(attempt, container_id="c1", image_digest="sha256:1", executor_metadata={"ports": [80]})
    assert fence(attempt, container_id="c2", image_digest="sha256:2", executor_metadata={})
    attempt.refresh_from_db()
    assert (attempt.container_id, attempt.image_digest) == ("c2", "sha256:2")
    assert ContainerJob.objects.get().executor_metadata == {}
    assert attempt.started_at is None


def test_the_deadline_counts_from_the_first_running_write_by_the_databases_clock():
    attempt = make_attempt()
    MOVES[AttemptState.RUNNING](attempt, timeout_seconds=90.5, container_id="c9")
    seen = Attempt.objects.annotate(now=Now()).get()
    assert abs(seen.now - seen.started_at) < timedelta(seconds=5)
    assert abs(seen.deadline_at - seen.started_at - timedelta(seconds=90.5)) < timedelta(milliseconds=5)
    assert seen.container_id == "c9"
    assert abs(ContainerJob.objects.get().started_at - seen.started_at) < timedelta(milliseconds=50)


def test_a_stop_is_noted_with_its_reason_and_time():
    attempt = make_attempt(AttemptState.RUNNING)
    MOVES[AttemptState.STOPPING](attempt, stop_reason="timeout")
    seen = Attempt.objects.annotate(now=Now()).get()
    assert seen.stop_reason == "timeout"
    assert abs(seen.now - seen.stopping_at) < timedelta(seconds=5)


def test_an_exit_notes_what_the_engine_says():
    started, finished = datetime(2026, 5, 1, 12, 0, 0, 250, UTC), datetime(2026, 5, 1, 12, 1, tzinfo=UTC)
    attempt = make_attempt()
    times = {"started_at": started, "finished_at": finished}
    MOVES[AttemptState.EXITED](attempt, exit_code=137, oom_killed=True, **times, executor_metadata={"a": 1})
    seen = Attempt.objects.get()
    assert (seen.exit_code, seen.oom_killed) == (137, True)
    assert (seen.started_at, seen.finished_at) == (started, finished)
    job = ContainerJob.objects.get()
    assert (job.started_at, job.executor_metadata, job.exit_code) == (started, {"a": 1}, None)


def test_an_exit_does_not_move_a_start_that_was_seen():
    attempt = make_attempt()
    MOVES[AttemptState.RUNNING](attempt)
    before = Attempt.objects.get().started_at, ContainerJob.objects.get().started_at
    MOVES[AttemptState.EXITED](attempt, started_at=datetime(2020, 1, 1, tzinfo=UTC))
    assert (Attempt.objects.get().started_at, ContainerJob.objects.get().started_at) == before


@pytest.mark.parametrize("state", OPEN_STATES)
def test_a_description_changes_no_state_and_writes_no_line(state):
    attempt = make_attempt(state)
    status = attempt.job.status
    assert attempt.id in moves.describe(
        [row(attempt, image_digest="sha256:3", executor_metadata={"ip": "x"})]
    )
    attempt.refresh_from_db()
    job = ContainerJob.objects.get()
    assert (attempt.state, job.status) == (state, status)
    assert (attempt.image_digest, job.executor_metadata) == ("sha256:3", {"ip": "x"})
    assert not JobEvent.objects.exists()


def test_an_attempt_that_has_ended_is_not_described_any_more():
    attempt = attempt_in(AttemptState.ENDED)
    assert not moves.describe([row(attempt, image_digest="sha256:3")])


@pytest.mark.parametrize(
    "text", ["it's", '100 %s "quoted" \\ ü', "a; DROP TABLE jobs_attempt; --", "x" * 9000]
)
def test_texts_arrive_as_they_are(text):
    attempt = make_attempt()
    MOVES[AttemptState.CREATED](attempt, message=text, executor_metadata={text: [text]})
    assert JobEvent.objects.get().message == text
    assert ContainerJob.objects.get().executor_metadata == {text: [text]}


def test_a_phase_is_written_before_the_start_only_and_by_its_owner_only():
    for state in AttemptState:
        attempt = attempt_in(state, job=make_job())
        assert (attempt.id in moves.note_phase([row(attempt, phase="busy")])) is (state in NOT_STARTED)
        attempt.epoch += 1
        assert not moves.note_phase([row(attempt, phase="of somebody else")])
    assert set(Attempt.objects.values_list("phase", flat=True)) == {"busy", ""}


@pytest.mark.parametrize("to", MOVES)
def test_every_move_takes_the_phase_of_the_state_before_back(to):
    attempt = make_attempt(phase="Pulling busybox:1")
    MOVES[to](attempt)
    assert Attempt.objects.get().phase == ""

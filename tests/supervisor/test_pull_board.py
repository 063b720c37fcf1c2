"""Which pulls are made for the runs that wait for images, who is told, and what their rows say meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from hosts.errors import ContainerExecutionError, DockerConnectionError
from jobs.states import AttemptState, Outcome
from supervisor.worker import progress
from supervisor.worker.pulls import Pulls
from supervisor.worker.run import Need, Run, next_step, outcome_of_withdrawal
from supervisor.worker.steps import StepDone
from tests.supervisor.runs import INSTALLATION, NOW, make_run

S = AttemptState
DENIED = ContainerExecutionError("denied", failure_class="image_denied", hint="Log in.")
BUSY = DockerConnectionError("too many requests", failure_class="rate_limited", hint="Wait.")


class Threads:
    """In place of the engine: the pulls that were handed to threads, and what each can be asked."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ids: list[UUID] = []
        self.notes: list[Callable[[str], None]] = []
        self.asks: list[Callable[[], bool]] = []

    def step(self, pull_id: UUID, _name: str, _call: Any, image: str, note: Any, is_given_up: Any) -> None:
        self.begun.append(image)
        self.ids.append(pull_id)
        self.notes.append(note)
        self.asks.append(is_given_up)


class Board:
    """Runs that wait for images, as a worker's turn sees them."""

    def __init__(self, *images: str, **fields: Any) -> None:
        self.threads = Threads()
        self.runs: dict[UUID, Run] = {}
        self.pulls = Pulls(self.runs, self.threads, installation=INSTALLATION)  # type: ignore[arg-type]
        self.waiting = [self.add(image, **fields) for image in images]
        self.turn()

    def add(self, image: str, **fields: Any) -> Run:
        run = make_run(S.PULLING, need=Need.PULL, busy=True, **fields)
        run.spec = {**run.spec, "docker_image": image}
        self.runs[run.attempt_id] = run
        return run

    def turn(self) -> None:
        self.pulls.release(NOW)
        self.pulls.begin()

    def done(self, place: int = 0, error: Exception | None = None) -> None:
        self.pulls.take(StepDone(self.threads.ids[place], "PULL", error=error), NOW)

    def phases(self, now: float = NOW) -> list[str]:
        news = self.pulls.news(now)
        for attempt_id, phase in news.items():
            self.runs[attempt_id].phase = phase
        return list(news.values())


def test_runs_of_one_image_share_a_pull_and_all_get_its_result() -> None:
    board = Board("a", "b", "a", "a")
    assert board.threads.begun == ["a", "b"]
    board.turn()
    assert board.threads.begun == ["a", "b"]
    board.done()
    assert [run.need for run in board.waiting] == [Need.ENSURE, Need.PULL, Need.ENSURE, Need.ENSURE]


def test_a_refusal_for_good_rejects_every_run_that_waits() -> None:
    board = Board("a", "a")
    board.done(error=DENIED)
    for run in board.waiting:
        assert run.verdict is not None
        assert (run.verdict.outcome, run.verdict.failure_class) == (Outcome.REJECTED, "image_denied")


def test_trouble_costs_every_run_a_try_and_its_verdict_says_of_which_kind() -> None:
    board = Board("a", "a")
    board.done(error=BUSY)
    for run in board.waiting:
        assert next_step(run, NOW + 1) is Need.WITHDRAW
        verdict = outcome_of_withdrawal(run, NOW + 1)
        assert (verdict.outcome, verdict.failure_class) == (Outcome.INFRA, "rate_limited")
        assert verdict.hint.startswith("Wait. Nothing was started")


def test_a_cancelled_run_leaves_at_once_and_the_others_go_on_waiting() -> None:
    board = Board("a", "a")
    board.waiting[0].cancel_wanted = True
    board.turn()
    assert next_step(board.waiting[0], NOW) is Need.WITHDRAW
    assert board.waiting[1].waits_for_pull
    assert not board.threads.asks[0]()


def test_a_pull_that_nobody_waits_for_is_given_up_and_its_answer_means_nothing() -> None:
    board = Board("a")
    board.waiting[0].cancel_wanted = True
    board.turn()
    assert board.threads.asks[0]()
    late = board.add("a")
    board.turn()
    assert board.threads.begun == ["a"], "one at a time"
    board.done(error=DENIED)
    assert late.verdict is None
    board.turn()
    assert board.threads.begun == ["a", "a"]
    board.done(1)
    assert late.need is Need.ENSURE


def test_a_pull_goes_on_if_somebody_comes_to_wait_for_it_before_it_was_given_up() -> None:
    board = Board("a")
    board.runs.clear()
    board.turn()
    board.add("a")
    board.turn()
    assert not board.threads.asks[0]()
    assert board.threads.begun == ["a"]


def test_a_worker_that_ends_gives_all_pulls_up() -> None:
    board = Board("a", "b")
    board.pulls.give_up()
    assert [ask() for ask in board.threads.asks] == [True, True]


def test_each_run_says_what_it_waits_for() -> None:
    board = Board("a", "a", "b", "c")
    assert board.phases() == [
        "Pulling a",
        "Waiting for a, which is being pulled for another job",
        "Pulling b",
        "Waiting to pull c: 2 other images are being pulled",
    ]
    board.threads.notes[0]("1 of 2 layers")
    assert board.phases(NOW + 0.5) == [], "once a second"
    assert board.phases(NOW + 1) == [
        "Pulling a: 1 of 2 layers",
        "Waiting for a, which is being pulled for another job: 1 of 2 layers",
    ]
    assert board.phases(NOW + 2) == [], "only news"


def test_the_phase_of_a_run_that_waits_no_more_is_taken_back() -> None:
    board = Board("a")
    board.phases()
    board.done(error=None)
    assert board.phases(NOW + 1) == [""]
    assert board.pulls.next_clock == float("inf")


def test_a_long_name_of_an_image_leaves_room_for_the_progress() -> None:
    board = Board("registry.example/" + "x" * 400)
    board.threads.notes[0]("3 of 7 layers, 45 MB of 120 MB")
    (phase,) = board.phases()
    assert len(phase) < 200
    assert phase.endswith("x: 3 of 7 layers, 45 MB of 120 MB")


def policy(name: str) -> Run:
    run = make_run()
    run.spec = {**run.spec, "pull_policy": name}
    return run


def test_always_pulls_once_before_the_first_create_of_an_attempt() -> None:
    run = policy("always")
    assert progress.pull_first(run)
    assert run.move is not None
    assert (run.move.kind, run.move.then) == ("to_pulling", Need.PULL)
    assert not progress.pull_first(run)


def test_an_attempt_that_came_as_far_as_a_container_is_not_pulled_for_again() -> None:
    run = policy("always")
    run.state = S.CREATED
    assert not progress.pull_first(run)


def test_the_other_policies_do_not_pull_what_is_there() -> None:
    assert not progress.pull_first(policy("if-not-present"))
    assert not progress.pull_first(policy("never"))

"""A worker asks nothing of an executor that its flags say it cannot, and stumbles over none."""

from __future__ import annotations

import threading
import time
import uuid
from typing import Any

import pytest

from hosts.errors import ConfigurationError, DockerConnectionError, ExecutorFailed
from hosts.executors.capabilities import Capabilities
from hosts.executors.contract import EngineFacts, Observation
from jobs.states import AttemptState as S
from supervisor.worker import making, steps
from supervisor.worker.inbox import Inbox, Wake
from supervisor.worker.logbook import Logbook
from supervisor.worker.pool import StepPool
from supervisor.worker.run import LogStage, Need
from supervisor.worker.stopping import clocks_of, stop_due
from supervisor.worker.watch import Watcher
from tests.supervisor.runs import NOW, answer, make_run, observation
from tests.supervisor.test_logbook import FakeEngine
from tests.support.containers import host_view
from tests.support.own_executors import MyCustomExecutor
from tests.support.waiting import wait_until


class Away(MyCustomExecutor):
    def __init__(self, host: Any) -> None:
        raise DockerConnectionError("nobody there")


def test_what_cannot_be_stopped_is_left_to_end_by_itself():
    run = make_run(S.RUNNING, need=Need.WATCH, deadline_clock=NOW, cancel_wanted=True, look_clock=NOW + 5)
    assert stop_due([run], NOW, can_stop=False) is False
    assert (run.move, run.need) == (None, Need.WATCH)
    assert min(clocks_of(run)) > NOW  # nor does a deadline that has passed keep the loop busy


def test_a_start_deadline_does_not_hurry_a_look_at_what_may_have_started():
    run = make_run(S.CREATED, need=Need.OBSERVE, start_deadline_clock=NOW - 1, resume_clock=NOW + 5)
    assert clocks_of(run) == [NOW + 5]


def test_a_log_that_there_is_not_ends_the_reading_at_once():
    engine = FakeEngine()
    run = make_run(S.EXITED, need=Need.COLLECT)
    Logbook(engine, Capabilities()).advance(run, NOW)
    assert (run.need, run.log, engine.opened) == (Need.END, LogStage.DONE, [])
    assert run.logs_note == "Its executor has no logs to give."


def test_a_log_that_is_not_live_is_read_once_at_the_end():
    engine = FakeEngine()
    logbook = Logbook(engine, Capabilities(logs=True))
    run = make_run(S.RUNNING, need=Need.WATCH, described=True)
    logbook.advance(run, NOW)
    assert engine.opened == []
    run.state, run.need = S.EXITED, Need.COLLECT
    logbook.advance(run, NOW)
    assert engine.opened == [False]


def test_an_executor_without_hints_is_looked_at_again_and_again(monkeypatch):
    monkeypatch.setattr("supervisor.worker.watch._LOOK_SECONDS", 0.01)

    class Deaf:
        capabilities = Capabilities()

    inbox = Inbox(Wake())
    watcher = Watcher(Deaf(), inbox)  # type: ignore[arg-type]
    watcher.start()
    for _ in range(2):
        wait_until(lambda: any(hint.container_id is None for hint in inbox.take()), what="a reminder")
    watcher.stop()
    wait_until(lambda: not watcher._thread.is_alive(), what="the thread to end")


def test_an_id_that_the_start_gives_is_the_containers_from_then_on():
    run = make_run(S.CREATED, container_id="before")
    answer(run, "START", "after")
    assert run.container_id == run.move.row["container_id"] == "after"
    for odd in (None, "", "x" * 201, 7):
        run = make_run(S.CREATED, container_id="before")
        answer(run, "START", odd)
        assert run.container_id == "before"


def test_what_a_former_owner_stored_of_a_container_is_not_forgotten():
    run = make_run(S.RUNNING, container_id="c1", stored_metadata={"endpoint": "e", "ip": "old"})
    answer(run, "OBSERVE", observation(run))
    assert run.move.row["executor_metadata"] == {"endpoint": "e", "ip": "10.0.0.1"}


class Nonsense:
    """Answers whatever a test says to everything."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def __getattr__(self, _name: str) -> Any:
        return lambda *_args, **_more: self._answer


GOOD: dict[str, Any] = {"container_id": "c", "name": "n", "state": "running", "labels": {}}


@pytest.mark.parametrize(
    "wrong",
    [
        "text",
        Observation(**{**GOOD, "container_id": 5}),
        Observation(**{**GOOD, "state": "paused"}),
        Observation(**{**GOOD, "labels": None}),
        Observation(**{**GOOD, "exit_code": "0"}),
        Observation(**{**GOOD, "metadata": ["x"]}),
    ],
)
def test_an_observation_that_is_none_is_told_where_it_was_given(wrong: Any):
    class Lease:
        def is_trusted(self) -> bool:
            return True

    hands = steps.Hands(Nonsense(wrong), Lease())  # type: ignore[arg-type]
    for call in (steps.observe, steps.ensure):
        with pytest.raises(ExecutorFailed):
            call(hands, "ref")
    with pytest.raises(ExecutorFailed):
        steps.list_containers(steps.Hands(Nonsense([wrong]), Lease()))  # type: ignore[arg-type]
    with pytest.raises(ExecutorFailed, match="no LogSource"):
        steps.open_log(hands, "c", None, follow=False)  # type: ignore[arg-type]


@pytest.mark.parametrize("facts", [None, "up", EngineFacts(engine_id="", version="1")])
def test_facts_that_are_none_are_told_where_they_were_given(facts: Any):
    with pytest.raises(ExecutorFailed, match="no EngineFacts"):
        steps.check(steps.Hands(Nonsense(facts), None))  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [KeyError("region"), SystemExit(3), RecursionError()])
def test_a_thread_outlives_whatever_an_executor_raises(error: BaseException):
    def fails() -> None:
        raise error

    inbox = Inbox(Wake())
    pool = StepPool("test", 1, inbox, lambda: None)
    pool.submit(uuid.uuid4(), "CHECK", fails)
    pool.submit(uuid.uuid4(), "CHECK", lambda: 5)
    done: list[Any] = []
    wait_until(lambda: done.extend(inbox.take()) or len(done) == 2)
    assert isinstance(done[0].error, ExecutorFailed)
    assert str(done[0].error).startswith(f"The executor failed (check): {type(error).__name__}")
    assert done[1].result == 5
    pool.stop()


def test_an_executor_that_hangs_while_it_is_made_is_given_up(settings):
    settings.TALLYMAN_EXECUTORS = {"hanging": "tests.support.own_executors.HangsWhenMade"}
    began = time.monotonic()
    with pytest.raises(ConfigurationError, match="'hanging' hangs: it was not imported and made"):
        making.executor_within(host_view("", kind="hanging"), 0.2)
    assert time.monotonic() - began < 2


def test_what_making_an_executor_raises_is_raised_where_it_is_waited_for(settings):
    settings.TALLYMAN_EXECUTORS = {"away": f"{__name__}.Away"}
    with pytest.raises(DockerConnectionError, match="nobody there"):
        making.executor_within(host_view("", kind="away"))
    assert not any(thread.name == "executor" for thread in threading.enumerate() if not thread.daemon)

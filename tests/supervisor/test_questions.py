"""When an engine is asked, and when its silence is an answer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from hosts.errors import DockerConnectionError
from hosts.executors.contract import CHECK_SECONDS
from supervisor.worker.questions import Questions
from supervisor.worker.steps import StepDone

HOST = UUID(int=1)


class Engine:
    """One that is asked, and answers when the test says so."""

    hands = SimpleNamespace()

    def __init__(self, timeout_seconds: float = 30.0) -> None:
        self.timeout_seconds = timeout_seconds
        self.asked: list[str] = []

    def probe(self, _host_id: UUID, name: str, _call: Any) -> None:
        self.asked.append(name)

    def take(self) -> list[str]:
        asked, self.asked = self.asked, []
        return asked


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def questions(engine: Engine) -> Questions:
    return Questions(engine, HOST, "far")


def answer(questions: Questions, step: str, now: float, error: Exception | None = None) -> None:
    questions.answered(StepDone(HOST, step, error=error), now)


def test_who_it_is_is_asked_before_what_is_on_it(engine: Engine, questions: Questions) -> None:
    questions.ask(0.0, knows_it=False)
    questions.ask(0.0, knows_it=False)
    assert engine.take() == ["CHECK"]
    answer(questions, "CHECK", 0.1)
    questions.list_within(0.0)
    questions.ask(0.1, knows_it=True)
    assert engine.take() == ["LIST"]


def test_while_it_takes_long_to_list_what_is_on_it_it_is_asked_whether_it_is_there(
    engine: Engine, questions: Questions
) -> None:
    questions.ask(0.0, knows_it=True)
    assert engine.take() == ["LIST"]
    assert questions.next_clock == CHECK_SECONDS
    questions.ask(CHECK_SECONDS, knows_it=True)
    questions.ask(CHECK_SECONDS, knows_it=True)
    assert engine.take() == ["CHECK"]
    answer(questions, "CHECK", 11.0)
    assert questions.silence(25.0) is None
    assert questions.silence(60.0) is not None, "it never answered, not even with an error"


@pytest.mark.parametrize(("timeout", "waits"), [(30.0, 2 * CHECK_SECONDS), (1.0, 2.0)])
def test_a_check_that_nobody_answers_is_an_error_sooner_than_other_calls_and_once(
    timeout: float, waits: float
) -> None:
    engine = Engine(timeout)
    questions = Questions(engine, HOST, "far")
    questions.ask(100.0, knows_it=False)
    assert questions.next_clock == 100.0 + waits
    assert questions.silence(100.0 + waits - 0.1) is None
    silence = questions.silence(100.0 + waits)
    assert silence is not None
    assert f"far: its executor hangs: no answer for {waits:g} s." in str(silence.error)
    assert questions.silence(1000.0) is None
    assert questions.next_clock == float("inf"), "there is one thread to ask it with, and that one waits"
    answer(questions, "CHECK", 1000.0)
    questions.ask(1010.0, knows_it=True)
    assert engine.take() == ["CHECK", "LIST"]


def test_one_that_is_away_is_asked_ever_more_seldom_until_it_is_there_again(
    engine: Engine, questions: Questions
) -> None:
    waits = []
    for _ in range(8):
        answer(questions, "CHECK", 0.0, DockerConnectionError("away"))
        waits.append(questions.next_clock)
    assert waits[0] <= 1.2
    assert 8.0 <= waits[-1] <= 12.0
    questions.be_content()
    answer(questions, "CHECK", 0.0, DockerConnectionError("away"))
    assert questions.next_clock <= 1.2

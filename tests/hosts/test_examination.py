"""A connection test takes its steps in order, and says of each what it found."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hosts.errors import DockerConnectionError
from hosts.examination import Examination, secret_texts
from hosts.executors.contract import ContainerExecutor, EngineFacts, HostView
from hosts.executors.examining import Step, StepSkipped, StepWarning


class Tried(ContainerExecutor):
    """Its steps and its answer are what a test says."""

    way: list[Step] = []
    inside: list[Step] = []
    facts: Any = EngineFacts(engine_id="e1", version="1", cpus=2)
    asked_with: list[Any] = []

    def launch_job(self, job: object) -> tuple[bool, str]:
        return False, "never"

    def way_steps(self) -> list[Step]:
        return self.way

    def engine_steps(self) -> list[Step]:
        return self.inside

    def check(self) -> EngineFacts:
        self.asked_with.append(self.config["timeout"])
        if isinstance(self.facts, Exception):
            raise self.facts
        return self.facts


@pytest.fixture
def tried(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets what the executor does; `examine` is then a test of a host of its kind."""
    settings.TALLYMAN_EXECUTORS = {"tried": f"{__name__}.Tried"}

    def examine(
        *,
        others: dict[str, str] | None = None,
        known_id: str = "",
        secrets: tuple[str, ...] = (),
        **does: Any,
    ) -> tuple[dict[str, dict[str, Any]], list[list[dict[str, Any]]]]:
        for name, value in does.items():
            monkeypatch.setattr(Tried, name, value)
        config = {"timeout": 300}
        view = HostView(
            id=uuid.uuid4(),
            name="h",
            executor_type="tried",
            base_url="",
            installation=uuid.uuid4(),
            config=config,
        )
        told: list[list[dict[str, Any]]] = []
        Examination(
            view=view, others=others or {}, known_id=known_id, tell=told.append, secrets=secrets
        ).run()
        return {one["name"]: one for one in told[-1]}, told

    return examine


def raising(error: Exception) -> Any:
    def run() -> str:
        raise error

    return run


def test_steps_are_told_of_as_they_begin_and_end(tried: Any) -> None:
    _, told = tried(way=[Step(name="Way", run=lambda: "there")])
    states = [{one["name"]: one["state"] for one in steps} for steps in told]
    assert {"Configuration": "ok", "Way": "running", "Engine answers": "waiting"}.items() <= states[2].items()
    assert states[-1]["Way"] == "ok"


def test_a_way_that_fails_ends_the_test_and_the_rest_is_skipped(tried: Any) -> None:
    error = DockerConnectionError("h: nobody is there.")
    steps, _ = tried(way=[Step(name="Way", run=raising(error), hint="go there")], inside=[], asked_with=[])
    assert (steps["Way"]["state"], steps["Way"]["detail"], steps["Way"]["hint"]) == (
        "failed",
        "nobody is there.",
        "go there",
    )
    assert {steps[name]["state"] for name in ("Engine answers", "Machine", "Identity")} == {"skipped"}
    assert Tried.asked_with == []


def test_steps_after_the_answer_stand_for_themselves(tried: Any) -> None:
    inside = [
        Step(name="Broken", run=raising(ValueError("odd"))),
        Step(name="None", run=raising(StepSkipped("not told"))),
        Step(name="Mind", run=raising(StepWarning("old", "renew it"))),
        Step(name="Fine", run=lambda: "yes"),
    ]
    steps, _ = tried(inside=inside)
    found = {
        name: (steps[name]["state"], steps[name]["detail"]) for name in ("Broken", "None", "Mind", "Fine")
    }
    assert found == {
        "Broken": ("failed", "ValueError: odd"),
        "None": ("skipped", "not told"),
        "Mind": ("warning", "old"),
        "Fine": ("ok", "yes"),
    }


def test_a_test_waits_ten_seconds_for_a_call_at_most(tried: Any) -> None:
    tried(asked_with=[])
    assert Tried.asked_with == [10]


@pytest.mark.parametrize(
    ("others", "known_id", "words"),
    [
        ({"e1": "other"}, "", "the engine of host 'other' already"),
        ({}, "e0", "another engine (e1) than the one seen before (e0)"),
    ],
)
def test_an_engine_that_is_known_otherwise_fails_its_step(
    tried: Any, others: dict[str, str], known_id: str, words: str
) -> None:
    steps, _ = tried(others=others, known_id=known_id)
    assert steps["Identity"]["state"] == "failed"
    assert words in steps["Identity"]["detail"]


def test_a_clock_that_is_wrong_is_warned_of(tried: Any) -> None:
    at = datetime.now(UTC) + timedelta(minutes=5)
    steps, _ = tried(facts=EngineFacts(engine_id="e", version="1", clock_at=at))
    assert steps["Clock"]["state"] == "warning"
    assert "s ahead of ours" in steps["Clock"]["detail"]


def test_an_answer_that_is_none_fails(tried: Any) -> None:
    steps, _ = tried(facts={"version": 1})
    assert steps["Engine answers"]["state"] == "failed"
    assert "no EngineFacts" in steps["Engine answers"]["detail"]


def test_no_secret_of_the_host_is_in_what_is_told(tried: Any) -> None:
    secrets = secret_texts({"registries": {"r": {"username": "user", "password": "hush-hush"}}})
    steps, _ = tried(facts=DockerConnectionError("h: refused hush-hush"), secrets=tuple(secrets))
    assert "hush" not in str(steps)

"""What a container that was found under a job's name means: its labels and its state tell, nothing else."""

from __future__ import annotations

import uuid

import pytest

from hosts.executors.contract import ContainerState, Observation
from jobs.adoption import Found, classify

INSTALLATION, JOB = uuid.uuid4(), uuid.uuid4()
OURS = {"installation": str(INSTALLATION), "job": str(JOB), "attempt": "2"}


def found(state: ContainerState = "running", *, number: int = 2, **labels: str | None) -> Found:
    kept = {f"tallyman.{key}": value for key, value in (OURS | labels).items() if value is not None}
    seen = Observation(container_id="c", name="any", state=state, labels=kept)
    return classify(seen, installation=INSTALLATION, job_id=JOB, number=number)


@pytest.mark.parametrize(
    ("state", "expected"),
    [("created", Found.UNSTARTED), ("running", Found.RUNNING), ("exited", Found.EXITED)],
)
def test_a_container_of_this_attempt_is_told_by_its_state(state: ContainerState, expected: Found) -> None:
    assert found(state) is expected


@pytest.mark.parametrize("state", ["created", "running", "exited"])
def test_a_container_of_another_attempt_is_an_older_one_in_any_state(state: ContainerState) -> None:
    assert found(state, number=3) is Found.OLDER


@pytest.mark.parametrize("state", ["created", "running", "exited"])
@pytest.mark.parametrize(
    "labels",
    [
        {"installation": None},
        {"installation": str(uuid.uuid4())},
        {"job": None},
        {"job": str(uuid.uuid4())},
        {"attempt": None},
        {"attempt": ""},
        {"attempt": "two"},
        {"attempt": "-2"},
        {"attempt": "²"},
        {"installation": None, "job": None, "attempt": None},
    ],
)
def test_a_container_that_does_not_say_it_is_ours_is_foreign(
    state: ContainerState, labels: dict[str, str | None]
) -> None:
    assert found(state, **labels) is Found.FOREIGN


def test_who_made_it_and_where_does_not_matter() -> None:
    assert found(epoch="99", host=str(uuid.uuid4()), protocol="7") is Found.RUNNING

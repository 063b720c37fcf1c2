"""What a container under a job's name means for the attempt that is to run."""

from __future__ import annotations

import uuid

import pytest

from hosts.executors.contract import Observation
from jobs.adoption import Found, classify

INSTALLATION, JOB = uuid.uuid4(), uuid.uuid4()
OURS = {"tallyman.installation": str(INSTALLATION), "tallyman.job": str(JOB), "tallyman.attempt": "2"}


def found(state="created", **labels: str) -> Found:
    named = {f"tallyman.{key}": value for key, value in labels.items()}
    seen = Observation(container_id="c", name="n", state=state, labels={**OURS, **named})
    return classify(seen, installation=INSTALLATION, job_id=JOB, number=2)


@pytest.mark.parametrize(
    ("state", "meaning"),
    [("running", Found.RUNNING), ("exited", Found.EXITED), ("created", Found.UNSTARTED)],
)
def test_a_container_of_this_attempt_is_taken_as_it_is(state, meaning):
    assert found(state) is meaning


@pytest.mark.parametrize("state", ["created", "running", "exited"])
def test_a_container_of_an_earlier_attempt_is_in_the_way(state):
    assert found(state, attempt="1") is Found.OLDER


@pytest.mark.parametrize("state", ["created", "running", "exited"])
def test_a_container_of_a_later_attempt_than_the_row_knows_is_left_alone(state):
    assert found(state, attempt="3") is Found.FOREIGN


@pytest.mark.parametrize("state", ["created", "running", "exited"])
@pytest.mark.parametrize(
    "labels",
    [
        {"installation": str(uuid.uuid4())},
        {"installation": ""},
        {"job": str(uuid.uuid4())},
        {"job": ""},
        {"attempt": ""},
        {"attempt": "two"},
        {"attempt": "-2"},
        {"attempt": "²"},
    ],
)
def test_a_container_that_does_not_say_it_is_ours_is_foreign(state, labels):
    assert found(state, **labels) is Found.FOREIGN


def test_no_labels_at_all_are_foreign():
    seen = Observation(container_id="c", name="n", state="running", labels={})
    assert classify(seen, installation=INSTALLATION, job_id=JOB, number=2) is Found.FOREIGN


@pytest.mark.parametrize("epoch", ["1", "99", ""])
def test_whose_epoch_made_it_does_not_matter(epoch):
    assert found("running", epoch=epoch) is Found.RUNNING

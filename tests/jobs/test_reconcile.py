"""Which of the containers on an engine are left over."""

from __future__ import annotations

import uuid

import pytest

from hosts.executors.contract import Observation
from jobs import reconcile

HOST, JOB, OTHER_JOB = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()


def container(job: object = JOB, attempt: object = 1, host: object = HOST) -> Observation:
    labels = {"tallyman.job": str(job), "tallyman.attempt": str(attempt), "tallyman.host": str(host)}
    return Observation(container_id=f"c-{job}-{attempt}", name="n", state="exited", labels=labels)


def plan(*present: Observation, in_hand=(), known=None) -> reconcile.Plan:
    return reconcile.plan(present, in_hand=set(in_hand), known=known or {}, host_id=HOST)


NOTHING = reconcile.Plan((), ())


def test_nothing_is_left_on_an_empty_engine():
    assert plan() == NOTHING


@pytest.mark.parametrize("attempt", [1, 2])
@pytest.mark.parametrize("ended", [{}, {(JOB, 1): True}])
def test_a_container_of_a_job_in_hand_is_left_to_its_run(attempt, ended):
    assert plan(container(attempt=attempt), in_hand=[JOB], known=ended) == NOTHING


def test_what_an_ended_attempt_left_is_removed_once_its_retention_is_over():
    seen = container()
    assert plan(seen, known={(JOB, 1): True}) == reconcile.Plan((seen,), ())
    assert plan(seen, known={(JOB, 1): False}) == NOTHING


def test_retention_is_a_matter_of_the_very_attempt():
    old, new = container(attempt=1), container(attempt=2)
    assert plan(old, new, known={(JOB, 1): True, (JOB, 2): False}) == reconcile.Plan((old,), ())


def test_a_container_that_no_row_knows_is_an_orphan_and_not_removed():
    seen = container()
    assert plan(seen) == reconcile.Plan((), (seen,))
    assert plan(seen, in_hand=[OTHER_JOB], known={(JOB, 2): True}) == reconcile.Plan((), (seen,))


def test_what_another_host_of_ours_made_on_a_shared_engine_is_not_our_orphan():
    assert plan(container(host=uuid.uuid4())) == NOTHING


def test_what_an_ended_attempt_left_is_removed_whatever_host_made_it():
    seen = container(host=uuid.uuid4())
    assert plan(seen, known={(JOB, 1): True}) == reconcile.Plan((seen,), ())


@pytest.mark.parametrize(("job", "attempt"), [("", 1), ("no uuid", 1), (JOB, ""), (JOB, "one")])
def test_a_container_with_labels_that_say_nothing_is_left_alone(job, attempt):
    assert plan(container(job, attempt)) == NOTHING


def test_keys_are_what_the_labels_name():
    assert reconcile.keys([container(), container(), container(attempt=2), container("no uuid")]) == {
        (JOB, 1),
        (JOB, 2),
    }

"""Many rows in one write: each is guarded for itself."""

from __future__ import annotations

import pytest

from jobs import batches, moves
from jobs.models import Attempt, ContainerJob, JobEvent, Tally
from jobs.states import AttemptState
from tests.jobs.attempts import end_row, make_attempt, row
from tests.support.factories import make_host, make_job, make_template

pytestmark = pytest.mark.django_db


@pytest.fixture
def crowd():
    """250 attempts, more than one statement takes."""
    template, host = make_template(), make_host()
    jobs = ContainerJob.objects.bulk_create(ContainerJob(template=template) for _ in range(250))
    first = make_attempt(job=jobs[0], host=host)
    ContainerJob.objects.update(status="starting", attempt_count=1)
    same = {name: getattr(first, name) for name in ("number", "host", "host_name", "epoch", "state", "spec")}
    others = [Attempt(job=job, container_name=f"n-{job.id}", **same) for job in jobs[1:]]
    return [first, *Attempt.objects.bulk_create(others)]


def test_250_moves_in_one_call(crowd):
    assert moves.to_running([row(attempt) for attempt in crowd]) == {attempt.id for attempt in crowd}
    assert Attempt.objects.filter(state="running").count() == 250
    assert ContainerJob.objects.filter(status="running").count() == 250
    assert JobEvent.objects.filter(kind="running").count() == 250


def test_250_ends_in_one_call_are_all_counted(crowd):
    ended = moves.end([end_row(attempt) for attempt in crowd])
    assert len(ended) == 250
    assert ContainerJob.objects.filter(status="completed", execution__attempt_number=1).count() == 250
    assert sum(Tally.objects.values_list("count", flat=True)) == 250


def test_rows_that_do_not_hold_do_not_keep_the_others_back(crowd):
    rows = [row(attempt) for attempt in crowd]
    for number in range(0, 250, 5):
        rows[number]["epoch"] += 1
    held = moves.to_pulling(rows)
    assert held == {one["attempt_id"] for number, one in enumerate(rows) if number % 5}
    assert set(Attempt.objects.filter(state="pulling").values_list("pk", flat=True)) == held
    assert JobEvent.objects.count() == ContainerJob.objects.filter(events__kind="pulling").count() == 200


def test_nothing_to_write_asks_the_database_nothing(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert moves.to_pulling([]) == set()


def test_one_statement_writes_200_rows_with_all_that_follows(crowd, django_assert_max_num_queries):
    with django_assert_max_num_queries(12):  # on SQLite: savepoints, and one for each table
        moves.end([end_row(attempt) for attempt in crowd[:200]])


def test_a_row_that_is_refused_for_good_leaves_nothing_behind_and_keeps_nobody_back(transactional_db):
    attempts = [make_attempt(job=make_job()) for _ in range(3)]
    rows = [row(attempt) for attempt in attempts]
    rows[1]["who"] = None  # the timeline refuses it, after the attempts were moved
    assert moves.to_running(rows) == {attempts[0].id, attempts[2].id}
    assert Attempt.objects.get(state=AttemptState.CLAIMED).id == attempts[1].id
    assert JobEvent.objects.count() == 2


def test_a_nul_is_replaced_and_stops_nobody():
    attempts = [make_attempt(job=make_job()) for _ in range(2)]
    texts = {"message": "a\x00b", "executor_metadata": {"a\x00": ["\x00"]}}
    assert len(moves.fence([row(attempts[0], **texts), row(attempts[1])])) == 2
    event = JobEvent.objects.get(job=attempts[0].job)
    assert event.message == "a\ufffdb"
    assert ContainerJob.objects.get(pk=event.job_id).executor_metadata == {"a\ufffd": ["\ufffd"]}


def test_each_attempt_stands_once_in_a_batch_and_its_rows_keep_their_order():
    rows = [{"attempt_id": key, "n": n} for n, key in enumerate("abacab")]
    cut = batches.once_each(rows)
    assert [[row["attempt_id"] for row in batch] for batch in cut] == [["a", "b", "c"], ["a", "b"], ["a"]]
    assert [row["n"] for batch in cut for row in batch if row["attempt_id"] == "a"] == [0, 2, 4]
    assert batches.once_each([]) == []

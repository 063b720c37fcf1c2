"""What engines say and no column takes: it harms nothing but itself, and nobody beside it."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import DatabaseError, OperationalError, connection, transaction

from hosts import fitting
from hosts.executors import frames
from hosts.executors.contract import Usage
from jobs import batches, logs, moves, usage
from jobs.measures import Series, UsageTotals
from jobs.models import Attempt, ContainerExecution, ContainerJob, LogChunk, UsageSample
from jobs.states import AttemptState, Outcome
from tests.jobs.attempts import end_row, make_attempt, row
from tests.support.factories import make_host, make_job, make_template

pytestmark = pytest.mark.django_db

NUL, SURROGATE, LONG = "a\x00b", "a\ud800b", "x" * 300_000
TEXTS = {"nul": NUL, "surrogate": SURROGATE, "long": LONG * 4}
NUMBERS = {"too much": 10**30, "too little": -(10**30), "no number": "many", "nan": math.nan}
DEEP: list[Any] = []
for _ in range(100_000):
    DEEP = [DEEP]
JSONS = {
    "nul": {NUL: [NUL]},
    "surrogate": {SURROGATE: SURROGATE},
    "nan": {"a": math.nan, "b": math.inf},
    "deep": {"a": DEEP},
    "huge": {"a": LONG * 4},
    "objects": {"a": b"bytes", "b": datetime(2026, 1, 1, tzinfo=UTC), 3: {1, 2}},
}
S = AttemptState


def pair(state: AttemptState, **fields: Any) -> tuple[Attempt, Attempt]:
    """The attempt that gets the hostile value, and one beside it."""
    host, template = make_host(), make_template()
    return (
        make_attempt(state, job=make_job(template), host=host, **fields),
        make_attempt(state, job=make_job(template), host=host, **fields),
    )


def cases(*columns: str, values: dict[str, Any]) -> Any:
    all_of_them = [(column, value) for column in columns for value in values.values()]
    ids = [f"{column} {name}" for column in columns for name in values]
    return pytest.mark.parametrize(("column", "value"), all_of_them, ids=ids)


@cases("message", "image_digest", "container_id", values=TEXTS)
@pytest.mark.parametrize("move", [moves.fence, moves.describe])
def test_texts_of_a_container_move_the_attempt_and_the_one_beside_it(
    move: Any, column: str, value: str
) -> None:
    first, second = pair(S.CLAIMED)
    rows = [row(first, **{column: value}), row(second, container_id="c2")]
    assert move(rows) == {first.id, second.id}


@cases("executor_metadata", values=JSONS)
@pytest.mark.parametrize("move", [moves.fence, moves.describe, moves.to_exited])
def test_metadata_of_a_container_are_stored_as_far_as_they_can_be(
    move: Any, column: str, value: dict[str, Any]
) -> None:
    first, second = pair(S.CLAIMED)
    rows = [row(first, **{column: value}), row(second, **{column: {"a": 1}})]
    assert move(rows) == {first.id, second.id}
    stored = dict(ContainerJob.objects.values_list("pk", "executor_metadata"))
    assert stored[second.job_id] == {"a": 1}
    assert isinstance(stored[first.job_id], dict)


@cases("exit_code", values=NUMBERS)
def test_an_exit_code_that_is_none_leaves_the_exit_itself_standing(column: str, value: Any) -> None:
    first, second = pair(S.RUNNING)
    assert moves.to_exited([row(first, **{column: value}), row(second, exit_code=3)]) == {first.id, second.id}
    codes = dict(Attempt.objects.filter(state=S.EXITED).values_list("pk", "exit_code"))
    assert codes == {first.id: None, second.id: 3}


@cases("started_at", "finished_at", values={"text": "yesterday", "naive": datetime(2026, 1, 1)})  # noqa: DTZ001
@pytest.mark.filterwarnings("ignore:DateTimeField .* received a naive datetime:RuntimeWarning")
def test_times_that_are_none_are_left_out(column: str, value: Any) -> None:
    first, second = pair(S.RUNNING)
    assert len(moves.to_exited([row(first, **{column: value}), row(second)])) == 2


@cases("stdout", "docker_log", "failure_message", "failure_hint", "failure_class", "logs_note", values=TEXTS)
def test_texts_of_an_end_end_the_attempt_and_the_one_beside_it(column: str, value: str) -> None:
    first, second = pair(S.EXITED)
    rows = [end_row(first, Outcome.USER, **{column: value, "job_status": "failed"}), end_row(second)]
    assert moves.end(rows) == {first.id, second.id}
    assert dict(ContainerJob.objects.values_list("pk", "status")) == {
        first.job_id: "failed",
        second.job_id: "completed",
    }


@cases(
    "exit_code",
    "peak_memory_bytes",
    "average_memory_bytes",
    "network_rx_bytes",
    "block_write_bytes",
    "cpu_seconds",
    "peak_pids",
    values=NUMBERS,
)
def test_measures_of_an_end_that_cannot_be_stored_are_left_out(column: str, value: Any) -> None:
    first, second = pair(S.EXITED)
    with transaction.atomic():  # as the ledger does
        assert moves.end([end_row(first, **{column: value}), end_row(second)]) == {first.id, second.id}
    assert ContainerExecution.objects.count() == 2


@cases("run_seconds", values={"nan": math.nan, "endless": math.inf})
def test_a_run_time_that_is_none_does_not_spoil_the_tally(column: str, value: float) -> None:
    first, second = pair(S.EXITED)
    assert len(moves.end([end_row(first, **{column: value}), end_row(second)])) == 2


def totals_of(reading: Usage) -> UsageTotals:
    totals = UsageTotals()
    totals.add(replace(reading, at=datetime.now(UTC)))
    return totals


@cases("memory_bytes", "network_tx_bytes", "pids", values={**NUMBERS, "negative": -1})
def test_a_measure_that_cannot_be_stored_is_left_out_of_its_reading(column: str, value: Any) -> None:
    kept, left_out = usage.storable(Usage(**{"memory_bytes": 5, "pids": 2, column: value}))
    assert list(left_out) == [column]
    first, second = pair(S.RUNNING)
    rows = [
        usage.row(attempt.id, attempt.epoch, reading, totals_of(reading), Series())[0]
        for attempt, reading in ((first, kept), (second, Usage(pids=2)))
    ]
    assert usage.append(rows) == {first.id, second.id}
    assert UsageSample.objects.get(attempt=first).pids == (None if column == "pids" else 2)


@pytest.mark.parametrize(
    "time", [b"2026-01-01T00:00:00.000000\x00\x00\x00Z", b"9999-12-31T23:59:59.999999999Z"]
)
def test_a_log_with_odd_times_is_stored(time: bytes) -> None:
    first, second = pair(S.RUNNING)
    odd = logs.Piece.of(frames.pack(1, time, NUL.encode()))
    plain = logs.Piece.of(frames.pack(1, frames.stamp(1_800_000_000 * 10**9), b"x\n"))
    rows = [logs.row(first.id, first.epoch, 0, odd), logs.row(second.id, second.epoch, 0, plain)]
    assert logs.append(rows) == {first.id, second.id}
    assert LogChunk.objects.count() == 2


def test_what_was_left_out_is_named_with_attempt_and_column(caplog: pytest.LogCaptureFixture) -> None:
    first, second = pair(S.RUNNING)
    moves.to_exited([row(first, exit_code=10**30), row(second)])
    (said,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert str(first.id) in said
    assert "exit_code" in said


def test_a_database_in_trouble_is_not_taken_for_a_bad_row(monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = pair(S.CLAIMED)
    asked = []

    def fail(*_: Any) -> None:
        asked.append(1)
        raise OperationalError("database or disk is full")

    monkeypatch.setattr(batches, "_write", fail)
    with pytest.raises(DatabaseError):
        moves.to_pulling([row(first)])
    assert len(asked) == 1


def test_values_that_fit_are_left_as_they_are() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    for model, values in {
        Attempt: {"exit_code": 137, "oom_killed": True, "container_id": "c" * 64, "started_at": at},
        ContainerJob: {"executor_metadata": {"ports": {"80/tcp": 8080}, "volumes": ["a:b"], "none": None}},
        ContainerExecution: {"cpu_seconds": 0.5, "peak_memory_bytes": 2**62, "stdout": "äöü\n"},
    }.items():
        for name, value in values.items():
            assert fitting.fit(model._meta.get_field(name), value) == (value, "")


@pytest.mark.postgres_only
def test_json_deeper_than_the_database_goes_is_a_bad_row_and_no_outage() -> None:
    first, _ = pair(S.CLAIMED)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL max_stack_depth = '100kB'")
    nested: Any = 1
    for _ in range(900):
        nested = {"a": nested}
    assert moves.fence([row(first, executor_metadata=nested)]) == {first.id}

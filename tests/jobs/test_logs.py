"""Appending the next chunk of one's own attempt and nothing else; and reading it back byte for byte."""

from __future__ import annotations

import zlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hosts.executors import frames
from hosts.executors.frames import STDERR, STDOUT
from hosts.executors.log_source import Resume
from jobs import batches, logs
from jobs.logs import Piece
from jobs.models import Attempt, LogChunk
from jobs.states import OPEN_STATES, AttemptState
from tests.jobs.attempts import everything, make_attempt
from tests.jobs.chunks import err, out, store, text
from tests.support.factories import make_job

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def attempt() -> Attempt:
    return make_attempt(AttemptState.RUNNING)


def row(attempt: Attempt, seq: int, data: bytes) -> batches.Row:
    return logs.row(attempt.id, attempt.epoch, seq, Piece.of(data))


def test_a_chunk_says_what_is_in_it_and_what_was_before(attempt):
    first = out("a\nb\n", 0) + err("oops", 1.5)
    store(attempt, first, out("c\n", 2))
    one, two = LogChunk.objects.order_by("seq")
    assert (one.seq, two.seq) == (0, 1)
    assert zlib.decompress(one.data) == first
    assert one.raw_bytes == len(first)
    assert (one.first_at, one.last_at) == (NOON, NOON + timedelta(seconds=1.5))
    before = ("stdout_bytes_before", "stderr_bytes_before", "stdout_lines_before", "stderr_lines_before")
    assert [getattr(one, name) for name in before] == [0, 0, 0, 0]
    # What is no whole piece of a longer line is a line: reading gives it its newline back.
    assert [getattr(two, name) for name in before] == [4, 4, 2, 1]


def test_the_attempt_knows_how_much_is_stored(attempt):
    store(attempt, out("a\nb\n") + err("oops", 1), out("c\n", 2), err("\n", 3))
    assert attempt.next_seq == 3
    assert (attempt.stdout_bytes, attempt.stderr_bytes) == (6, 5)
    assert (attempt.stdout_lines, attempt.stderr_lines) == (3, 2)
    assert text(attempt, STDERR) == b"oops\n\n"
    assert attempt.log_cursor == "2026-05-01T12:00:03.000000000Z"


def test_the_cursor_does_not_go_back_with_records_that_come_late(attempt):
    store(attempt, out("b\n", 5.25), out("a\n", 5))
    assert attempt.log_cursor == "2026-05-01T12:00:05.250000000Z"
    assert text(attempt) == b"b\na\n"


@pytest.mark.parametrize("seq", [0, 2, 99])
def test_what_is_not_the_next_chunk_changes_nothing(attempt, seq):
    store(attempt, out("first\n"))
    before = everything()
    assert logs.append([row(attempt, seq, out("again\n"))]) == set()
    assert everything() == before


@pytest.mark.parametrize("epoch", [6, 8])
def test_a_writer_of_another_epoch_changes_nothing(attempt, epoch):
    attempt.epoch = epoch
    before = everything()
    assert store(attempt, out("x\n")) == [False]
    assert everything() == before


def test_an_attempt_that_has_ended_takes_no_more():
    attempt = make_attempt(AttemptState.ENDED, outcome="lost")
    before = everything()
    assert store(attempt, out("x\n")) == [False]
    assert everything() == before


@pytest.mark.parametrize("state", OPEN_STATES)
def test_an_open_attempt_takes_more_in_any_state(state):
    assert store(make_attempt(state), out("x\n")) == [True]


def test_many_attempts_in_one_write_each_for_itself():
    attempts = [make_attempt(AttemptState.RUNNING, job=make_job()) for _ in range(5)]
    store(attempts[3], out("already there\n"))
    rows = [row(attempt, 0, out(f"{number}\n")) for number, attempt in enumerate(attempts)]
    assert logs.append(rows) == {attempt.id for attempt in attempts} - {attempts[3].id}
    assert [text(attempt) for attempt in attempts] == [b"0\n", b"1\n", b"2\n", b"already there\n", b"4\n"]


def test_several_chunks_of_one_attempt_go_in_order(attempt):
    rows = [row(attempt, seq, out(f"{seq}\n", seq)) for seq in range(4)]
    for batch in batches.once_each(rows):
        assert logs.append(batch) == {attempt.id}
    assert text(attempt) == b"0\n1\n2\n3\n"
    last = LogChunk.objects.get(seq=3)
    assert (last.stdout_bytes_before, last.stdout_lines_before) == (6, 3)


def test_several_chunks_in_one_write_say_the_same_as_one_by_one(attempt):
    other = make_attempt(AttemptState.RUNNING, job=make_job())
    pieces = [out("a\nb\n", 1) + err("oops", 2), out("c\n", 9), err("\n", 3)]
    one_by_one = [store(attempt, piece) for piece in pieces]
    assert logs.append([row(other, seq, piece) for seq, piece in enumerate(pieces)]) == {other.id}
    assert one_by_one == [[True]] * 3
    columns = [field.name for field in LogChunk._meta.fields if field.name not in {"id", "attempt"}]
    mine, theirs = (LogChunk.objects.filter(attempt=each).order_by("seq") for each in (attempt, other))
    assert list(mine.values_list(*columns)) == list(theirs.values_list(*columns))
    counted = ("next_seq", "log_cursor", "stdout_bytes", "stderr_bytes", "stdout_lines", "stderr_lines")
    attempt.refresh_from_db()
    other.refresh_from_db()
    assert [getattr(attempt, name) for name in counted] == [getattr(other, name) for name in counted]


@pytest.mark.parametrize("first", [0, 2])
def test_of_several_chunks_in_one_write_none_is_stored_if_the_first_is_not_the_next(attempt, first):
    store(attempt, out("first\n"))
    before = everything()
    assert logs.append([row(attempt, first + place, out("x\n")) for place in range(3)]) == set()
    assert everything() == before


def test_more_chunks_than_one_write_takes_are_stored_in_order(attempt):
    rows = [row(attempt, seq, out(f"{seq}\n", seq)) for seq in range(batches.MAX_ROWS + 5)]
    assert logs.append(rows) == {attempt.id}
    assert text(attempt) == b"".join(b"%d\n" % seq for seq in range(batches.MAX_ROWS + 5))


def test_streams_are_read_apart(attempt):
    store(attempt, out("a\n") + err("x\n") + out("b\n"), err("y\n"), out("c\n"))
    assert text(attempt, STDOUT) == b"a\nb\nc\n"
    assert text(attempt, STDERR) == b"x\ny\n"


@pytest.mark.parametrize("payload", [b"", b"\x00\xff\xfe\n", b"no line end", bytes(range(256)) * 1024])
def test_bytes_come_back_as_they_were_written(attempt, payload):
    store(attempt, out(payload))
    assert text(attempt) == payload


lines = st.binary(max_size=50).map(lambda data: data.replace(b"\n", b"") + b"\n")


@settings(max_examples=25)
@given(st.lists(st.lists(st.tuples(st.booleans(), lines), min_size=1, max_size=5), max_size=5))
def test_no_byte_is_lost_or_moved_however_lines_are_cut_into_chunks(cuts):
    attempt = make_attempt(AttemptState.RUNNING, job=make_job())
    store(attempt, *(b"".join((out if is_out else err)(data) for is_out, data in cut) for cut in cuts))
    written = [pair for cut in cuts for pair in cut]
    for is_out, stream in ((True, STDOUT), (False, STDERR)):
        assert text(attempt, stream) == b"".join(data for kind, data in written if kind is is_out)
    assert attempt.stdout_bytes + attempt.stderr_bytes == sum(len(data) for _, data in written)


def test_a_line_that_the_engine_cut_is_one_line_again(attempt):
    piece = b"x" * frames.PIECE_BYTES
    store(attempt, out(piece) + out(piece), out("end\n"))
    assert text(attempt) == piece + piece + b"end\n"


def test_reading_goes_on_after_what_was_seen(attempt):
    pieces = [out("a\n"), out("b\n", 1), err("c\n", 2)]
    store(attempt, *pieces)
    assert list(logs.read(attempt.id)) == list(enumerate(pieces))
    assert list(logs.read(attempt.id, after_seq=0)) == [(1, pieces[1]), (2, pieces[2])]
    assert list(logs.read(attempt.id, after_seq=2)) == []


def test_a_log_is_read_by_attempt():
    first, second = (make_attempt(AttemptState.RUNNING, job=make_job()) for _ in range(2))
    store(first, out("first"))
    store(second, out("second"))
    assert text(first) == b"first"


class TestResuming:
    """What an executor is told of the stored log, to go on without gap or repeat."""

    def test_nothing_is_stored_yet(self, attempt):
        assert logs.resume_point(attempt) == Resume()

    def test_the_newest_time_and_the_counts(self, attempt):
        store(attempt, out("ab\n", 1.25) + err("c", 1))
        point = logs.resume_point(attempt)
        assert point.newest == "2026-05-01T12:00:01.250000000Z"
        assert (point.stdout_bytes, point.stderr_bytes) == (3, 1)

    def test_the_tail_is_the_last_seconds_in_the_order_of_the_log(self, attempt):
        pieces = [out("old\n", 0), out("late\n", 96.5), out("newest\n", 100), out("record of before\n", 99)]
        store(attempt, *pieces)
        assert logs.resume_point(attempt).tail == b"".join(pieces[1:])

    def test_a_chunk_that_reaches_into_the_last_seconds_is_in_the_tail_as_a_whole(self, attempt):
        long = out("begins early\n", 0) + out("ends late\n", 98)
        store(attempt, long, out("newest\n", 100))
        assert logs.resume_point(attempt).tail == long + out("newest\n", 100)

    def test_the_last_of_each_stream_is_in_the_tail_however_old(self, attempt):
        pieces = [err("first\n", 0), err("last\n", 1), out("x\n", 2), out("y\n", 50), out("z\n", 100)]
        store(attempt, *pieces)
        assert logs.resume_point(attempt).tail == pieces[1] + pieces[4]

    def test_the_tail_covers_what_is_asked_for_again(self, attempt):
        store(attempt, *(out(f"{second}\n", second) for second in range(20)))
        times = [frame.time for frame in frames.walk(logs.resume_point(attempt).tail)]
        assert frames.moment(times[0].decode()) <= NOON + timedelta(seconds=19) - timedelta(seconds=3)
        assert len(times) == 5

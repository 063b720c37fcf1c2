"""Lines by their numbers, without reading the whole log."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.forms import model_to_dict
from django.test.utils import CaptureQueriesContext
from hypothesis import given, settings
from hypothesis import strategies as st

from hosts.executors import frames
from hosts.executors.frames import PIECE_BYTES, STDERR, STDOUT
from jobs.log_lines import STREAMS, Assembler, Follower, Lines
from jobs.models import Attempt, LogChunk
from jobs.states import AttemptState
from tests.jobs.attempts import make_attempt
from tests.jobs.chunks import err, out, store
from tests.jobs.test_log_cap import capped
from tests.jobs.test_log_cap import store as store_capped

pytestmark = pytest.mark.django_db

LONG = b"=" * PIECE_BYTES


@pytest.fixture
def attempt() -> Attempt:
    return make_attempt(AttemptState.RUNNING)


def texts(
    attempt: Attempt, stream: str = "all", first: int = 0, count: int = 1000
) -> list[tuple[int, bytes]]:
    page = Lines(attempt.pk, stream).page(first, count)
    return [(line.number, line.data) for line in page.lines]


def test_each_stream_has_numbers_of_its_own_and_both_together_too(attempt):
    store(attempt, out("a\n") + err("b\n") + out("c\n"), err("d\n") + out("e\n"))
    assert texts(attempt) == list(enumerate([b"a", b"b", b"c", b"d", b"e"]))
    assert texts(attempt, "stdout") == list(enumerate([b"a", b"c", b"e"]))
    assert texts(attempt, "stderr") == list(enumerate([b"b", b"d"]))
    assert [Lines(attempt.pk, stream).count(attempt) for stream in STREAMS] == [5, 3, 2]


def test_any_window_is_the_same_lines_as_in_the_whole(attempt):
    store(attempt, *(out(f"{n}\n") + (err(f"e{n}\n") if n % 7 == 0 else b"") for n in range(150)))
    for stream in STREAMS:
        whole = texts(attempt, stream)
        for first, count in ((0, 1), (3, 10), (99, 70), (len(whole) - 1, 5), (len(whole), 5)):
            assert texts(attempt, stream, first, count) == whole[first : first + count]


def test_a_window_of_10_000_chunks_reads_few_of_them(attempt):
    store(attempt, out("a line\n"))
    chunk = LogChunk.objects.get()
    rows = []
    for seq in range(1, 10_000):
        counted = {"seq": seq, "stdout_lines_before": seq, "stdout_bytes_before": seq * 7}
        rows.append(
            LogChunk(**{**model_to_dict(chunk, exclude=["id", "attempt"]), **counted}, attempt=attempt)
        )
        rows[-1].data = chunk.data
    LogChunk.objects.bulk_create(rows, batch_size=2000)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert texts(attempt, first=6_543, count=3) == [(n, b"a line") for n in (6_543, 6_544, 6_545)]
    assert len(queries) < 25


def test_a_line_in_pieces_is_one_line_with_the_newline_that_its_engine_forgot(attempt):
    store(attempt, out(LONG) + err("between\n"), out(LONG) + out("end") + out("next\n"))
    page = Lines(attempt.pk, keep=PIECE_BYTES * 3).page(0, 10)
    assert [(line.number, line.stream, line.size) for line in page.lines] == [
        (0, STDERR, 7),
        (1, STDOUT, 2 * PIECE_BYTES + 3),
        (2, STDOUT, 4),
    ]
    assert page.lines[1].data == LONG + LONG + b"end"
    # Read alone, its begin is found in the chunk before.
    (line,) = Lines(attempt.pk, keep=10).page(1, 1).lines
    assert (line.data, line.size) == (b"=" * 10, 2 * PIECE_BYTES + 3)
    assert Lines(attempt.pk).count(attempt) == 3


def test_a_last_line_without_an_end_is_a_line_and_a_piece_of_one_is_the_rest(attempt):
    store(attempt, out("whole\n") + err("no end"))
    assert texts(attempt) == [(0, b"whole"), (1, b"no end")]
    store(attempt, out(LONG))
    page = Lines(attempt.pk).page(0, 10)
    assert len(page.lines) == 2
    assert [(line.number, line.size) for line in page.rest] == [(2, PIECE_BYTES)]


def test_what_the_cap_left_out_keeps_its_numbers():
    attempt = capped(cap=100)
    store_capped(attempt, *(out(f"{number:09}\n", number) + err("e\n", number) for number in range(20)))
    gap = Lines(attempt.pk).gap(100)
    assert gap is not None
    assert gap.size == attempt.log_gap_bytes
    kept = [number for number, _ in texts(attempt)]
    assert kept == [*range(gap.first), *range(gap.end, 40)]
    assert 0 < gap.first < gap.end < 40
    of_stderr = Lines(attempt.pk, "stderr").gap(100)
    assert of_stderr is not None
    assert of_stderr.size == 2 * (of_stderr.end - of_stderr.first)
    assert dict(texts(attempt))[gap.end - 1 + 1].strip() in (b"e", b"%09d" % (gap.end // 2))


def test_a_log_that_is_kept_whole_has_no_gap(attempt):
    store(attempt, out("a\n"), out("b\n"))
    assert Lines(attempt.pk).gap(attempt.spec["max_log_bytes"]) is None


def test_single_lines_far_apart(attempt):
    store(attempt, *(out(f"{n}\n") for n in range(200)))
    found = Lines(attempt.pk).of_numbers([199, 3, 70, 5000])
    assert [line.data for line in found] == [b"3", b"70", b"199"]


def test_the_stdout_of_a_log_that_is_nearly_all_stderr_is_found(attempt):
    store(attempt, out("first\n"), *(err(f"{n}\n") for n in range(140)), out("last\n"))
    with CaptureQueriesContext(connection) as queries:
        assert texts(attempt, "stdout") == [(0, b"first"), (1, b"last")]
    assert len(queries) < 40


def test_the_line_of_a_moment(attempt):
    store(attempt, *(out(f"{n}\n", n) + out(f"{n}.5\n", n + 0.5) for n in range(30)))
    began = LogChunk.objects.get(seq=0).first_at
    lines = Lines(attempt.pk)
    assert lines.line_at(began - timedelta(seconds=1)) == 0
    assert lines.line_at(began + timedelta(seconds=10.2)) == 21
    assert lines.line_at(began + timedelta(seconds=10.7)) == 22
    assert lines.line_at(began + timedelta(hours=1)) == 60


def test_a_follower_gets_each_line_once(attempt):
    store(attempt, out("before\n"))
    follower = Follower(attempt.pk, "stdout", next_seq=attempt.next_seq)
    store(attempt, out("a\n") + err("not\n"), out("b\n") + out(LONG))
    new, rest = follower.new()
    assert [(line.number, line.data) for line in new] == [(1, b"a"), (2, b"b")]
    assert [line.number for line in rest] == [3]
    store(attempt, out("end\n"))
    new, rest = follower.new()
    assert [(line.number, line.size) for line in new] == [(3, PIECE_BYTES + 3)]
    assert (follower.new()[0], rest) == ([], [])


payloads = st.one_of(
    st.binary(max_size=12),
    st.sampled_from([b"", b"\n", b"\n\n", b"a\nb\n", LONG, LONG[:-1] + b"\n", b"\r\n", b"\xff\n"]),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([STDOUT, STDERR]), payloads), min_size=1, max_size=12))
def test_lines_are_those_of_the_bytes_that_the_container_wrote_and_as_many_as_are_counted(records):
    data = b"".join(frames.pack(stream, frames.stamp(0), payload) for stream, payload in records)
    counted = frames.tally(data)
    for stream, count in ((STDOUT, counted.stdout_lines), (STDERR, counted.stderr_lines)):
        assembler = Assembler([stream], keep=10**7)
        lines = [line.data for line in assembler.feed(data, 0)]
        written = frames.Joiner().payloads(stream, data, frames.payloads(data).get(stream, []))
        rest = [line.data for line in assembler.rest(0)]
        whole = b"".join(line + b"\n" for line in lines) + b"".join(rest)
        assert whole in (written, written + b"\n")
        assert len(lines) == count

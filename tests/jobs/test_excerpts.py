"""The two ends of a stream, as text, with what lies between counted."""

from __future__ import annotations

import itertools
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hosts.executors import frames
from jobs import excerpts
from jobs.excerpts import HEAD_BYTES, TAIL_BYTES, Excerpt
from jobs.states import AttemptState
from tests.jobs.attempts import make_attempt
from tests.jobs.chunks import err, out, store

LETTERS = b"abcdefghijklmnopqrstuvwxyz"


def excerpt(*pieces: bytes) -> str:
    taken = Excerpt()
    for piece in pieces:
        taken.add(piece)
    return taken.text()


@pytest.mark.parametrize("size", [0, 1, HEAD_BYTES, HEAD_BYTES + 1, HEAD_BYTES + TAIL_BYTES])
def test_a_stream_that_fits_is_whole(size):
    data = random.Random(size).choices(LETTERS, k=size)
    assert excerpt(bytes(data)) == bytes(data).decode()


def test_of_a_longer_one_both_ends_are_kept_and_the_rest_is_counted():
    data = b"h" * HEAD_BYTES + b"?" * 1000 + b"t" * TAIL_BYTES
    head, mark, tail = excerpt(data).split("\n")
    assert (head, tail) == ("h" * HEAD_BYTES, "t" * TAIL_BYTES)
    assert mark == "[... 1000 bytes left out ...]"


@given(cuts=st.lists(st.integers(0, 300_000), max_size=8), size=st.integers(0, 300_000))
def test_how_a_stream_is_cut_makes_no_difference(cuts, size):
    data = (LETTERS * (size // 26 + 1))[:size]
    places = [0, *sorted(min(cut, size) for cut in cuts), size]
    assert excerpt(*(data[a:b] for a, b in itertools.pairwise(places))) == excerpt(data)


def test_memory_is_bounded():
    taken = Excerpt()
    for _ in range(1000):
        taken.add(b"x" * 10_000)
    assert len(taken._head) + len(taken._tail) < 8 * TAIL_BYTES
    assert taken.size == 10_000_000


def test_what_is_skipped_is_left_out_where_it_was():
    taken = Excerpt()
    taken.add(b"begin\n")
    taken.skip_to(1006)
    taken.add(b"end\n")
    assert taken.text() == "begin\n\n[... 1000 bytes left out ...]\nend\n"


def test_no_end_is_pieced_together_over_a_gap():
    taken = Excerpt()
    taken.add(b"h" * (HEAD_BYTES + 5))
    taken.skip_to(HEAD_BYTES + 100)
    taken.add(b"end")
    assert taken.text() == "h" * HEAD_BYTES + "\n[... 100 bytes left out ...]\nend"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"plain", "plain"),
        ("ü".encode(), "ü"),
        (b"a\x00b", "a\ufffdb"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"", ""),
    ],
)
def test_bytes_become_text_that_every_database_takes(data, text):
    assert excerpts.as_text(data) == text


@pytest.mark.django_db
class TestOfStoredLogs:
    @pytest.fixture
    def attempt(self):
        return make_attempt(AttemptState.RUNNING)

    def texts(self, attempt, *pieces: bytes, more: tuple[int, int] = (0, 0)) -> tuple[str, str]:
        sizes = (attempt.stdout_bytes + more[0], attempt.stderr_bytes + more[1])
        return excerpts.texts(attempt.id, attempt.next_seq, [zlib.compress(piece) for piece in pieces], sizes)

    def test_nothing_was_said(self, attempt):
        assert self.texts(attempt) == ("", "")

    def test_what_was_never_stored_before_the_end(self, attempt):
        assert self.texts(attempt, out("a\n") + err("b\n"), out("c\n"), more=(4, 2)) == ("a\nc\n", "b\n")

    def test_what_is_stored_and_what_follows(self, attempt):
        store(attempt, out("a\n"), err("b\n"))
        assert self.texts(attempt, out("c\n"), more=(2, 0)) == ("a\nc\n", "b\n")

    def test_a_slow_log_of_many_small_chunks_is_whole(self, attempt):
        lines = [f"line {number}\n" for number in range(60)]
        store(attempt, *(out(line) for line in lines))
        assert self.texts(attempt) == ("".join(lines), "")

    def test_of_a_long_log_the_ends_are_read(self, attempt):
        store(attempt, *(out(bytes([letter]) * 200_000) for letter in LETTERS[:8]), err("at last\n"))
        stdout, stderr = self.texts(attempt)
        assert stdout.startswith("a" * HEAD_BYTES + "\n[... ")
        assert stdout.endswith(" ...]\n" + "h" * TAIL_BYTES)
        assert f"{1_600_000 - HEAD_BYTES - TAIL_BYTES} bytes" in stdout
        assert stderr == "at last\n"

    def test_a_stream_that_spoke_in_the_middle_only_is_said_to_be_left_out(self, attempt):
        noise = [out(bytes([letter]) * 200_000) for letter in LETTERS[:8]]
        store(attempt, *noise[:4], err("in the middle\n"), *noise[4:])
        assert self.texts(attempt)[1] == "\n[... 14 bytes left out ...]\n"

    def test_chunks_in_the_middle_are_not_read(self, attempt, django_assert_num_queries):
        store(attempt, *(out(b"x" * 200_000) for _ in range(8)))
        with django_assert_num_queries(2) as queries:
            self.texts(attempt)
        assert "IN (0, 1, 6, 7)" in queries[1]["sql"]

    @pytest.mark.parametrize("count", [0, 1, 3, 8, 450])
    def test_ends_that_were_noted_make_the_texts_that_stored_ones_make(self, attempt, count):
        ends, before = excerpts.Ends(), 0
        size = 90_000 if count < 100 else 50
        pieces = [out(LETTERS[number % 26 : number % 26 + 1] * size) for number in range(count)]
        store(attempt, *pieces)
        for seq, piece in enumerate(pieces):
            ends.add((seq, before, 0, zlib.compress(piece)), len(piece))
            before += size
        sizes = (attempt.stdout_bytes, 0)
        noted = ends.up_to(attempt.next_seq)

        assert noted is not None
        assert len(noted) <= 400
        looked_up = excerpts.texts(attempt.id, attempt.next_seq, [], sizes)
        assert excerpts.texts(attempt.id, attempt.next_seq, [], sizes, noted) == looked_up


lines = st.lists(
    st.tuples(st.sampled_from([out, err]), st.sampled_from(["a\n", "bc\n", "x", "p" * 16_384, "l" * 5_000])),
    max_size=60,
)


@given(before=lines, after=lines)
def test_what_is_left_out_of_a_chunk_makes_no_difference(before, after):
    excerpt_of = {1: Excerpt(), 2: Excerpt()}
    taken = {1: Excerpt(), 2: Excerpt()}
    slow, fast = frames.Joiner(), frames.Joiner()
    for records in (before, after):
        chunk = b"".join(make(text) for make, text in records)
        for frame in frames.walk(chunk):
            excerpt_of[frame.stream].add(slow.payload(frame))
        excerpts._add(zlib.compress(chunk), taken[1], taken[2], fast)
    for stream in (1, 2):
        size = excerpt_of[stream].size
        assert taken[stream].text(size) == excerpt_of[stream].text(size)


def test_no_ends_are_known_of_a_log_that_was_not_noted_from_its_beginning_on():
    ends = excerpts.Ends()
    ends.add((3, 12, 0, b"x"), 1)
    assert ends.up_to(4) is None


def test_no_ends_are_known_of_a_log_that_goes_on_elsewhere():
    ends = excerpts.Ends()
    ends.add((0, 0, 0, b"x"), 1)
    assert ends.up_to(2) is None


def test_ends_that_are_large_are_not_remembered():
    ends = excerpts.Ends()
    for seq in range(4):
        ends.add((seq, 0, 0, b"x" * 100_000), 260_000)
    assert ends.up_to(4) is None

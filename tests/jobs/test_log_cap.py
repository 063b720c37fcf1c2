"""Of a log over its cap head and tail are kept, the gap is known to the byte, and reading tells of it."""

from __future__ import annotations

import itertools
from collections import deque
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hosts.executors import frames
from hosts.executors.docker.overlap import Overlap
from hosts.executors.frames import STDERR, STDOUT
from jobs import excerpts, logs
from jobs.logs import Piece
from jobs.models import Attempt, LogChunk
from jobs.states import AttemptState
from supervisor.worker import log_ledger
from supervisor.worker.breadcrumb import Breadcrumbs
from supervisor.worker.log_pump import PieceRead
from supervisor.worker.run import Run
from tests.jobs.attempts import make_attempt
from tests.jobs.chunks import err, out, text
from tests.support.factories import make_job

pytestmark = pytest.mark.django_db

CAP = 1000


def capped(cap: int = CAP) -> Attempt:
    attempt = make_attempt(AttemptState.RUNNING, job=make_job())
    attempt.spec["max_log_bytes"] = cap
    attempt.save(update_fields=["spec"])
    return attempt


def store(attempt: Attempt, *pieces: bytes, at_once: int = 1) -> Run:
    """Store pieces as a worker does that finds so many of them waiting."""
    run = Run.of(Attempt.objects.get(pk=attempt.pk), infra_failures=0)
    reads = deque(PieceRead(run.attempt_id, Piece.of(data), len(data)) for data in pieces)
    while reads:
        run.pieces.extend(reads.popleft() for _ in range(min(at_once, len(reads))))
        log_ledger.store_logs([run], Breadcrumbs().main)
    attempt.refresh_from_db()
    return run


def line(number: int) -> str:
    return f"line {number:5}\n"  # 11 bytes


def lines(*numbers: int) -> bytes:
    return b"".join(out(line(number), number / 1000) for number in numbers)


def written(first: int, last: int) -> bytes:
    return "".join(map(line, range(first, last))).encode()


def test_a_log_up_to_the_cap_is_kept_whole():
    attempt = capped(cap=1100)
    store(attempt, *(lines(number) for number in range(100)))
    assert text(attempt) == written(0, 100)
    assert attempt.log_gap_bytes == 0


def test_of_a_longer_one_head_and_tail_are_kept_and_the_gap_is_exact():
    attempt = capped()
    store(attempt, *(lines(number) for number in range(150)))
    kept = text(attempt)
    tail = kept[506:]
    assert kept[:506] == written(0, 46)  # the frames that begin in the first 500 bytes
    assert tail == written(150 - len(tail) // 11, 150)
    assert CAP - 11 < len(kept) <= CAP
    assert attempt.log_gap_bytes == 1650 - len(kept)
    assert (attempt.stdout_bytes, attempt.stdout_lines) == (1650, 150)


def test_the_head_ends_inside_a_piece_that_reaches_over_it():
    attempt = capped()
    store(attempt, lines(*range(10)), lines(*range(10, 90)), *(lines(number) for number in range(90, 110)))
    assert text(attempt)[:506] == written(0, 46)
    assert list(LogChunk.objects.order_by("seq").values_list("seq", flat=True)[:3])[:2] == [0, 1]
    assert len(text(attempt)) <= CAP


def test_a_piece_larger_than_the_room_for_the_tail_is_kept_while_it_is_the_newest():
    attempt = capped()
    store(attempt, lines(*range(50)), lines(*range(50, 250)))
    assert text(attempt).endswith(written(50, 250))
    store(attempt, lines(250))
    assert text(attempt) == written(0, 46) + line(250).encode()
    assert attempt.log_gap_bytes == 204 * 11


def test_only_the_owner_leaves_anything_out():
    attempt = capped()
    store(attempt, lines(*range(90)))
    Attempt.objects.filter(pk=attempt.pk).update(epoch=attempt.epoch + 1)
    stale = Run.of(attempt, infra_failures=0)
    stale.pieces.append(PieceRead(stale.attempt_id, Piece.of(lines(*range(90, 200))), 0))
    log_ledger.store_logs([stale], Breadcrumbs().main)
    assert text(attempt) == written(0, 90)


sizes = st.lists(st.integers(1, 60), min_size=1, max_size=15)


@settings(max_examples=15, deadline=None)
@given(sizes, st.integers(100, 2000), st.integers(1, 4), st.lists(st.integers(0, 14), max_size=2))
def test_what_is_kept_with_the_gap_is_what_was_written(counts, cap, at_once, crashes):
    attempt = capped(cap)
    pieces, number = [], 0
    for count in counts:
        numbers = range(number, number + count)
        pieces.append(b"".join((err if n % 7 == 0 else out)(line(n), n / 1000) for n in numbers))
        number += count
    for start, end in _parts(len(pieces), crashes):
        store(attempt, *pieces[start:end], at_once=at_once)  # each time a new worker

    for stream in (STDOUT, STDERR):
        whole = "".join(line(n) for n in range(number) if (n % 7 == 0) is (stream == STDERR)).encode()
        rest, gap = whole, 0
        for chunk in logs.Reader(attempt.id).new():
            left_out = chunk.left_out.get(stream, 0)
            gap, rest = gap + left_out, rest[left_out:]
            for frame in frames.walk(chunk.data):
                if frame.stream == stream:
                    assert rest.startswith(frame.payload)
                    rest = rest[len(frame.payload) :]
        assert rest == b""
        assert len(text(attempt, stream)) + gap == len(whole)
    total = sum(chunk.left_out.get(s, 0) for chunk in logs.Reader(attempt.id).new() for s in (STDOUT, STDERR))
    assert total == attempt.log_gap_bytes
    newest = LogChunk.objects.filter(attempt=attempt).order_by("seq").last()
    kept = attempt.stdout_bytes + attempt.stderr_bytes - attempt.log_gap_bytes
    head = min(cap // 2 + 11, kept)
    assert kept <= max(cap, head + frames.tally(_data(newest)).raw_bytes)


def _parts(count: int, crashes: list[int]) -> list[tuple[int, int]]:
    places = [0, *sorted({min(crash, count) for crash in crashes}), count]
    return list(itertools.pairwise(places))


def _data(chunk: Any) -> bytes:
    return next(data for seq, data in logs.read(chunk.attempt_id) if seq == chunk.seq)


def test_resuming_goes_on_where_the_log_was_whatever_was_left_out():
    attempt = capped()
    everything = [lines(number) for number in range(160)]
    store(attempt, *everything[:130])
    overlap = Overlap(logs.resume_point(attempt))
    engine = [
        frame
        for frame in frames.walk(b"".join(everything))
        if not overlap.since or frame.time >= _stamp(overlap.since)
    ]
    new = overlap.keep(b"".join(frames.pack(*frame) for frame in engine))
    overlap.end()
    assert new == b"".join(everything[130:])
    assert not overlap.broken


def _stamp(since: str) -> bytes:
    seconds, _, rest = since.partition(".")
    return frames.stamp(int(seconds) * 10**9 + int(rest))


def test_a_stream_tells_its_gap_only_where_it_is_asked_to():
    attempt = capped()
    store(attempt, *(lines(number) for number in range(150)))
    kept = text(attempt)
    marked = b"".join(logs.stream_bytes(attempt.id, STDOUT, marked=True))
    mark = f"\n[... {attempt.log_gap_bytes} bytes left out ...]\n".encode()
    assert marked == kept[:506] + mark + kept[506:]


def test_no_newline_is_made_up_at_the_gap():
    attempt = capped(cap=100)
    store(attempt, out("x" * 50), *(out(f"{n:029}\n", n) for n in range(10)))
    assert text(attempt) == b"x" * 50 + b"".join(f"{n:029}\n".encode() for n in (9,))


def test_a_reader_that_looks_again_and_again_learns_of_what_went_in_between():
    attempt = capped()
    store(attempt, lines(*range(50)))
    reader = logs.Reader(attempt.id)
    seen = sum(len(list(frames.walk(chunk.data))) for chunk in reader.new())
    store(attempt, *(lines(number) for number in range(50, 150)))
    new = list(reader.new())
    after = sum(len(list(frames.walk(chunk.data))) for chunk in new)
    assert new[0].left_out == {STDOUT: (150 - seen - after) * 11}
    assert list(reader.new()) == []


def test_the_excerpt_counts_what_is_left_out():
    attempt = capped(cap=200_000)
    run = store(attempt, *(b"".join(out("x" * 999 + "\n") for _ in range(25)) for _ in range(20)))
    stdout, stderr = excerpts.texts(attempt.id, run.next_seq, [], (attempt.stdout_bytes, 0))
    assert f"[... {500_000 - 64 * 1024} bytes left out ...]" in stdout
    assert stderr == ""

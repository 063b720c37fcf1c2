"""Which frames are stored already: checked against a model of an engine's log."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hosts.executors.docker.overlap import OVERLAP_NANOSECONDS, PIECE_BYTES, Overlap
from hosts.executors.frames import STDERR, STDOUT, Frame, pack, stamp, walk
from hosts.executors.log_source import Resume
from tests.support.containers import NOTHING_STORED, resume_after

START = 1_700_000_000_000_000_000
SECOND = 1_000_000_000
TAIL = 4 * SECOND
PIECE = b"p" * PIECE_BYTES


@dataclass
class Engine:
    """Writes records as an engine does: pieces of one line all have the time of the first."""

    now: int = START
    filters_all: bool = True

    def __post_init__(self):
        self.log: list[tuple[int, Frame]] = []
        self.line_began: dict[int, int] = {}

    def write(self, stream: int, wait: int, skew: int, payload: bytes) -> None:
        self.now += wait
        moment = self.line_began.get(stream, self.now - skew)
        # The clock is read for each record: two that nothing else tells apart never have the same time.
        while not payload and (moment, Frame(stream, stamp(moment), b"")) in self.log:
            moment += 1
        if payload == PIECE:
            self.line_began[stream] = moment
        else:
            self.line_began.pop(stream, None)
        self.log.append((moment, Frame(stream, stamp(moment), payload)))

    def read(self, since: str) -> list[Frame]:
        """What comes of the log: engines before 23 drop each record that is too old, later ones the first."""
        seconds, _, rest = since.partition(".")
        after = int(seconds) * SECOND + int(rest) if since else 0
        late = [number for number, (moment, _) in enumerate(self.log) if moment >= after]
        if self.filters_all:
            return [self.log[number][1] for number in late]
        return [frame for _, frame in self.log[late[0] :]] if late else []


waits = st.sampled_from([0, 1, 1000, SECOND // 10, SECOND, 2 * SECOND, OVERLAP_NANOSECONDS, 10 * SECOND])
payloads = st.sampled_from([b"a\n", b"b\n", b"\n", b"", b"end without newline", PIECE, PIECE])
records = st.tuples(st.sampled_from([STDOUT, STDERR]), waits, st.sampled_from([0, 0, 1, 2_000_000]), payloads)


def _engine(written, *, filters_all: bool = True) -> Engine:
    engine = Engine(filters_all=filters_all)
    for record in written:
        engine.write(*record)
    return engine


def _packed(frames: list[Frame]) -> bytes:
    return b"".join(pack(*frame) for frame in frames)


def _rest(engine: Engine, resume: Resume, split: int) -> bytes:
    """What a reader keeps of the engine's answer, which comes in two parts."""
    overlap = Overlap(resume)
    frames = engine.read(overlap.since)
    return overlap.keep(_packed(frames[:split])) + overlap.keep(_packed(frames[split:]))


def _worker_tail(stored: list[tuple[int, Frame]], covered_from: int = 0) -> bytes:
    """The frames from the first one of the last four seconds on, and the last one of each stream."""
    newest = max(moment for moment, _ in stored)
    last = {frame.stream: number for number, (_, frame) in enumerate(stored)}
    oldest = next(number for number, (moment, _) in enumerate(stored) if moment >= newest - TAIL)
    wanted = set(range(max(oldest, covered_from), len(stored)))
    return _packed(
        [frame for number, (_, frame) in enumerate(stored) if number in wanted | set(last.values())]
    )


@given(st.lists(records, max_size=30), st.booleans(), st.data())
def test_a_log_taken_up_anywhere_has_neither_gap_nor_repeat(written, filters_all, data):
    engine = _engine(written, filters_all=filters_all)
    cut = data.draw(st.integers(0, len(engine.log)))
    stored = engine.log[:cut]
    resume = resume_after(_packed([frame for _, frame in stored]))
    if stored:
        resume = Resume(
            newest=resume.newest,
            tail=_worker_tail(stored),
            stdout_bytes=resume.stdout_bytes,
            stderr_bytes=resume.stderr_bytes,
        )

    rest = _rest(engine, resume, data.draw(st.integers(0, 30)))

    assert rest == _packed([frame for _, frame in engine.log[cut:]])


@given(st.lists(records, max_size=30), st.data())
def test_a_tail_of_everything_serves_as_well(written, data):
    engine = _engine(written)
    cut = data.draw(st.integers(0, len(engine.log)))
    resume = resume_after(_packed([frame for _, frame in engine.log[:cut]]))

    assert _rest(engine, resume, data.draw(st.integers(0, 30))) == _packed(
        [frame for _, frame in engine.log[cut:]]
    )


@given(st.lists(records.filter(lambda record: record[3]), max_size=30), st.data())
def test_counts_alone_are_enough(written, data):
    engine = _engine(written)
    cut = data.draw(st.integers(0, len(engine.log)))
    whole = resume_after(_packed([frame for _, frame in engine.log[:cut]]))
    resume = Resume(newest=whole.newest, stdout_bytes=whole.stdout_bytes, stderr_bytes=whole.stderr_bytes)

    assert _rest(engine, resume, data.draw(st.integers(0, 30))) == _packed(
        [frame for _, frame in engine.log[cut:]]
    )


@pytest.mark.parametrize("cut", [2, 3])
def test_a_record_without_payload_is_told_by_its_time(cut):
    written = [
        (STDOUT, 0, 0, PIECE),
        (STDERR, 10 * SECOND, 0, PIECE),
        (STDERR, 0, 0, b""),
        (STDERR, 1, 0, b"\n"),
    ]
    engine = _engine(written)
    log = [frame for _, frame in engine.log]
    resume = resume_after(_packed(log[:cut]))

    assert Overlap(resume).since == ""
    assert _rest(engine, resume, 1) == _packed(log[cut:])


def test_the_usual_case_is_taken_up_by_time_and_soon_done():
    stored = _packed([Frame(STDOUT, stamp(START), b"a\n"), Frame(STDERR, stamp(START + 1), b"b\n")])
    older = pack(STDERR, stamp(START - 10 * SECOND), b"c\n")
    overlap = Overlap(resume_after(older + stored))

    assert overlap.since == "1699999997.000000001"
    assert not overlap.done
    assert overlap.keep(stored) == b""
    assert overlap.done


def test_times_far_after_the_overlap_end_the_comparing():
    overlap = Overlap(resume_after(pack(STDOUT, stamp(START), b"a\n")))
    later = pack(STDOUT, stamp(START + OVERLAP_NANOSECONDS + 1), b"later\n")

    assert overlap.keep(later) == later
    assert overlap.done


def test_nothing_stored_means_everything_is_new():
    overlap = Overlap(NOTHING_STORED)

    assert (overlap.since, overlap.done) == ("", True)


def test_a_record_of_which_only_a_part_was_taken_gives_the_rest():
    resume = Resume(newest=stamp(START).decode(), stdout_bytes=3)

    kept = Overlap(resume).keep(pack(STDOUT, stamp(START), b"abcdef\n"))

    assert list(walk(kept)) == [Frame(STDOUT, stamp(START), b"def\n")]


@given(st.lists(records, min_size=1, max_size=30), st.booleans(), st.data())
def test_a_log_of_which_only_the_last_part_is_kept_goes_on_where_it_was(written, filters_all, data):
    engine = _engine(written, filters_all=filters_all)
    cut = data.draw(st.integers(1, len(engine.log)))
    kept_from = data.draw(st.integers(0, cut - 1))
    stored = engine.log[:cut]
    whole = resume_after(_packed([frame for _, frame in stored]))
    resume = Resume(
        newest=whole.newest,
        tail=_worker_tail(stored, kept_from),
        stdout_bytes=whole.stdout_bytes,
        stderr_bytes=whole.stderr_bytes,
        covers=stamp(max([moment for moment, _ in stored[:kept_from]], default=START - SECOND) + 1).decode(),
        first=pack(*stored[0][1])[:38],
    )

    assert _rest(engine, resume, data.draw(st.integers(0, 30))) == _packed(
        [frame for _, frame in engine.log[cut:]]
    )


@given(st.lists(records, max_size=30), st.booleans(), st.data())
def test_a_log_that_is_whole_is_never_called_broken(written, filters_all, data):
    engine = _engine(written, filters_all=filters_all)
    cut = data.draw(st.integers(0, len(engine.log)))
    resume = resume_after(_packed([frame for _, frame in engine.log[:cut]]))
    overlap = Overlap(resume)

    overlap.keep(_packed(engine.read(overlap.since)))
    overlap.end()

    assert not overlap.broken


def _steady(count: int) -> Engine:
    return _engine([(STDOUT, SECOND, 0, f"{number}\n".encode()) for number in range(count)])


def test_a_log_whose_newest_stored_record_is_gone_is_broken_and_goes_on():
    engine = _steady(30)
    frames = [frame for _, frame in engine.log]
    overlap = Overlap(resume_after(_packed(frames[:10])))

    rest = overlap.keep(_packed(frames[20:]))
    overlap.end()

    assert rest == _packed(frames[20:])
    assert overlap.broken


def test_a_log_that_begins_later_than_the_stored_one_is_not_taken_up_by_count():
    engine = _steady(30)
    frames = [frame for _, frame in engine.log]
    resume = Resume(newest=frames[9].time.decode(), stdout_bytes=20, first=pack(*frames[0])[:38])
    overlap = Overlap(resume)

    rest = overlap.keep(_packed(frames[5:15])) + overlap.keep(_packed(frames[15:]))

    assert overlap.since == ""
    assert rest == _packed(frames[10:])
    assert overlap.broken


def test_a_log_shorter_than_what_is_stored_is_broken():
    engine = _steady(10)
    frames = [frame for _, frame in engine.log]
    overlap = Overlap(Resume(newest=frames[9].time.decode(), stdout_bytes=20))

    overlap.keep(_packed(frames[:5]))
    overlap.end()

    assert overlap.broken

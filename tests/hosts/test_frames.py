"""What is counted of frames, whatever is in them."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hosts.executors import frames
from hosts.executors.frames import STDERR, STDOUT, NoFrame, pack, stamp, walk

PIECE = frames.PIECE_BYTES
START = 1_700_000_000_000_000_000
FORGED = pack(STDERR, stamp(START), b"not a frame\n")

# Of lengths whose header holds the byte of a newline, too: 10, 266 and 2,560 bytes with the prefix.
payloads = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [b"", b"\n", b"\n\n\n", FORGED, FORGED[:-1], b"p" * PIECE, b"x" * 235, b"y" * 2_529, b"z\n" * 1_300]
    ),
)
logs = st.lists(
    st.builds(
        pack,
        st.sampled_from([STDOUT, STDERR]),
        st.integers(0, 10**10).map(lambda n: stamp(START + n)),
        payloads,
    ),
    min_size=1,
    max_size=30,
)


@given(logs)
def test_a_tally_counts_what_walking_every_frame_would(log):
    data = b"".join(log)
    counted = frames.tally(data)
    written = {stream: [frame.payload for frame in walk(data) if frame.stream == stream] for stream in (1, 2)}

    assert (counted.stdout_bytes, counted.stderr_bytes) == tuple(len(b"".join(written[n])) for n in (1, 2))
    assert (counted.stdout_lines, counted.stderr_lines) == tuple(
        sum(one.count(b"\n") + (not one.endswith(b"\n") and len(one) != PIECE) for one in written[n])
        for n in (1, 2)
    )
    assert counted.raw_bytes == len(data)
    assert counted.newest.encode() == max(frame.time for frame in walk(data))
    assert counted.first_at == frames.moment(next(walk(data)).time.decode())


@given(logs, st.integers(1, 3000))
def test_a_tally_of_enough_ends_with_the_frame_that_makes_it_enough(log, enough):
    data = b"".join(log)
    size = frames.tally(data, enough).raw_bytes
    ends = [len(b"".join(log[: count + 1])) for count in range(len(log))]

    assert size == next((end for end in ends if end >= enough), len(data))
    assert frames.tally(data, enough) == frames.tally(data[:size])


@given(logs, st.integers(0, 3000))
def test_of_a_log_that_is_cut_anywhere_the_whole_frames_are_counted(log, size):
    data = b"".join(log)
    ends = [end for end in itertools.accumulate(map(len, log)) if end <= size]
    counted = frames.tally_first(data[:size])
    assert counted == (frames.tally(data[: ends[-1]]) if ends else None)


@given(logs, st.sampled_from([b"\x03\x00\x00\x00" * 10, b"\x01" * 40]))
def test_what_is_no_frame_is_told_once_all_before_it_are_counted(log, odd):
    data = b"".join(log)
    assert frames.tally_first(data + odd) == frames.tally(data)
    with pytest.raises(NoFrame):
        frames.tally_first(odd)


@given(logs)
def test_the_places_of_payloads_are_where_they_are(log):
    data = b"".join(log)
    spans = frames.payloads(data)

    for stream in (STDOUT, STDERR):
        expected = [frame.payload for frame in walk(data) if frame.stream == stream]
        assert [data[start:end] for start, end in spans.get(stream, [])] == expected


@given(st.lists(logs, max_size=4))
def test_payloads_joined_together_are_those_joined_one_by_one(parts):
    one_by_one, together = frames.Joiner(), frames.Joiner()
    for data in map(b"".join, parts):
        for stream, spans in frames.payloads(data).items():
            expected = [one_by_one.payload(frame) for frame in walk(data) if frame.stream == stream]
            assert together.payloads(stream, data, spans) == b"".join(expected)

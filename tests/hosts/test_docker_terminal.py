"""The log of a container with a terminal, cut into its records: checked against a model of an engine."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hosts.errors import DockerConnectionError
from hosts.executors.docker.terminal import TerminalSplitter
from hosts.executors.frames import PIECE_BYTES, STDOUT, Joiner, pack, stamp, walk

START = 1_700_000_000_000_000_000

short = st.binary(max_size=40).map(lambda data: data.replace(b"\n", b"\r"))
long = st.builds(
    lambda start, more: (start + b"x" * (2 * PIECE_BYTES))[: PIECE_BYTES + more],
    short,
    st.sampled_from([-2, -1, 0, 1, 2, 7000, PIECE_BYTES - 1, PIECE_BYTES]),
)


def engine_log(lines: list[bytes], last: bytes, *, end_of_line: bytes = b"\r\n") -> list[bytes]:
    """The records that an engine's driver `local` gives for these lines, and a last one that does not end."""
    records = []
    for number, line in enumerate([*(line + end_of_line for line in lines), last]):
        time = stamp(START + number * 1000)
        pieces = [line[at : at + PIECE_BYTES] for at in range(0, len(line), PIECE_BYTES)]
        if len(line) > PIECE_BYTES and line.endswith(b"\n"):
            pieces[-1] = pieces[-1][:-1]  # what it forgets
        records += [pack(STDOUT, time, piece) for piece in pieces]
    return records


def as_sent(records: list[bytes]) -> bytes:
    """A terminal's log comes without the headers."""
    return b"".join(record[8:] for record in records)


def read(sent: bytes, cuts: list[int]) -> bytes:
    splitter = TerminalSplitter("host")
    places = [0, *sorted(min(cut, len(sent)) for cut in cuts), len(sent)]
    parts = [splitter.feed(sent[start:end]) for start, end in itertools.pairwise(places)]
    return b"".join(parts) + splitter.end(proved=True)


@given(st.lists(short | long, max_size=6), short | long, st.lists(st.integers(0, 200_000), max_size=6))
def test_every_record_becomes_one_frame_wherever_the_stream_is_cut(lines, last, cuts):
    records = engine_log(lines, last)
    frames = read(as_sent(records), cuts)

    assert frames == b"".join(records)
    joiner = Joiner()
    written = b"".join(line + b"\r\n" for line in lines) + last
    # The driver forgets the newline of a long line; the very last one cannot be known to have been there.
    is_forgotten = not last and lines and len(lines[-1]) + 2 > PIECE_BYTES
    assert b"".join(map(joiner.payload, walk(frames))) == (written[:-1] if is_forgotten else written)


@given(st.lists(short | long, max_size=6), st.lists(st.integers(0, 200_000), max_size=6))
def test_a_terminal_in_raw_mode_writes_no_carriage_returns(lines, cuts):
    lines = [line.replace(b"\r", b"-") for line in lines]
    records = engine_log(lines, b"", end_of_line=b"\n")

    assert read(as_sent(records), cuts) == b"".join(records)


def test_a_time_inside_a_line_is_no_record():
    forged = b"x\r" + stamp(START + 9) + b" not a record"
    records = engine_log([forged, forged], forged)

    assert read(as_sent(records), []) == b"".join(records)


def test_the_end_of_a_followed_log_keeps_an_unfinished_record_for_the_last_read():
    records = engine_log([b"one"], b"two")
    splitter = TerminalSplitter("host")

    assert splitter.feed(as_sent(records)) == records[0]
    assert splitter.end(proved=False) == b""


@pytest.mark.parametrize("sent", [b"Error grabbing logs: unexpected EOF, and more of it", stamp(START)[:20]])
def test_what_is_no_record_is_told(sent):
    with pytest.raises(DockerConnectionError, match="no record"):
        read(sent, [])

"""Which of the last records are stored: told by the records themselves, or not at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hosts.errors import DockerConnectionError
from hosts.executors.docker.ending import ASKED_RECORDS, Ending
from hosts.executors.frames import (
    END_RECORDS,
    PIECE_BYTES,
    STDERR,
    STDOUT,
    Frame,
    pack,
    recognisable_end,
    stamp,
)

START = 1_700_000_000_000_000_000
PIECE = b"p" * PIECE_BYTES

records = st.tuples(
    st.sampled_from([STDOUT, STDERR]),
    st.sampled_from([1, 1000, 10**9]),
    st.sampled_from([b"a\n", b"a\n", b"\n", b"", b"no newline", PIECE]),
)


def engine_log(written) -> list[bytes]:
    """As an engine writes it: a stream's times go on, pieces of a line share one, streams change places."""
    clocks, began, log = {STDOUT: START, STDERR: START - 500}, {}, []
    for stream, wait, payload in written:
        clocks[stream] += wait
        time = began.get(stream, clocks[stream])
        if payload == PIECE:
            began[stream] = time
        else:
            began.pop(stream, None)
        log.append(pack(*Frame(stream, stamp(time), payload)))
    return log


def after(stored: list[bytes], sent: list[bytes], cut: int = 0) -> bytes:
    """What is kept of records sent in two parts; DockerConnectionError if they tell nothing."""
    ending = Ending("docker", recognisable_end(b"".join(stored)))
    new = ending.keep(b"".join(sent[:cut])) + ending.keep(b"".join(sent[cut:]))
    ending.end()
    assert ending.done
    return new


def steady(count: int) -> list[bytes]:
    return engine_log([(STDOUT, 1, b"%d\n" % number) for number in range(count)])


@given(st.lists(records, max_size=60), st.data())
def test_what_is_new_is_told_exactly_or_not_at_all(written, data):
    log = engine_log(written)
    stored = data.draw(st.integers(0, len(log)))
    at_hand = log[data.draw(st.integers(0, stored)) : stored]
    sent = log[-data.draw(st.integers(1, 70)) :]
    if not recognisable_end(b"".join(at_hand)):
        return
    try:
        assert after(at_hand, sent, data.draw(st.integers(0, 70))) == b"".join(log[stored:])
    except DockerConnectionError:
        assert len(sent) < len(log) - stored + min(len(at_hand), END_RECORDS)


@pytest.mark.parametrize("new", [0, 1, ASKED_RECORDS - END_RECORDS])
def test_as_many_new_records_as_are_asked_for_beyond_the_known_ones_are_found(new):
    log = steady(1000)
    stored = len(log) - new

    assert after(log[stored - 500 : stored], log[-ASKED_RECORDS:]) == b"".join(log[stored:])


def test_a_log_of_which_too_much_is_new_tells_nothing():
    log = steady(1000)

    with pytest.raises(DockerConnectionError):
        after(log[:500], log[-ASKED_RECORDS:])


def test_records_that_differ_from_the_stored_ones_tell_nothing():
    log = steady(100)
    other = [*log[:90], log[90].replace(b"90\n", b"09\n"), *log[91:]]

    with pytest.raises(DockerConnectionError):
        after(log, other)


def test_a_log_that_ends_before_the_last_stored_record_tells_nothing():
    log = steady(100)

    with pytest.raises(DockerConnectionError):
        after(log, log[:-1])


def test_a_record_that_comes_twice_is_no_sign():
    same = pack(STDOUT, stamp(START), b"a\n")
    other = pack(STDOUT, stamp(START + 1), b"b\n")

    assert recognisable_end(other) == b"", "one record alone proves too little"
    assert recognisable_end(same + same + other) == b""
    assert recognisable_end(same + other) == same + other


def test_pieces_of_a_long_line_are_no_sign():
    line = [(STDOUT, 1, b"a\n"), (STDOUT, 1, PIECE), (STDOUT, 1, b"end\n"), (STDOUT, 1, b"b\n")]

    assert recognisable_end(b"".join(engine_log(line))) == b""


def test_records_of_one_moment_are_no_sign():
    assert recognisable_end(b"".join(pack(STDOUT, stamp(START), b"%d\n" % each) for each in range(9))) == b""

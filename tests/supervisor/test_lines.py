"""JSON lines between the master and its clerk: halves, full buffers, a peer that is gone."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from supervisor.lines import LineSocket

PATIENCE_SECONDS = 5.0
Pair = tuple[LineSocket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A LineSocket, and the other end of its socket as it is."""
    ours, theirs = socket.socketpair()
    theirs.settimeout(PATIENCE_SECONDS)
    line = LineSocket(ours)
    yield line, theirs
    line.close()
    theirs.close()


def test_what_one_side_sends_the_other_receives_in_order(pair: Pair) -> None:
    line, theirs = pair
    other = LineSocket(theirs)
    for number in range(3):
        line.send({"number": number})
    assert other.receive() == [{"number": 0}, {"number": 1}, {"number": 2}]


def test_receiving_nothing_returns_at_once_with_nothing(pair: Pair) -> None:
    assert pair[0].receive() == []
    assert not pair[0].is_closed


def test_a_message_in_halves_is_received_once_it_is_whole(pair: Pair) -> None:
    line, theirs = pair
    text = json.dumps({"name": "grüße\n"}, ensure_ascii=False).encode() + b"\n"
    for byte in text[:-1]:
        theirs.sendall(bytes([byte]))
        assert line.receive() == []
    theirs.sendall(text[-1:])
    assert line.receive() == [{"name": "grüße\n"}]


def test_a_message_and_the_half_of_the_next_one_are_told_apart(pair: Pair) -> None:
    line, theirs = pair
    theirs.sendall(b'{"a": 1}\n{"b"')
    assert line.receive() == [{"a": 1}]
    theirs.sendall(b": 2}\n")
    assert line.receive() == [{"b": 2}]


def test_sending_into_a_full_buffer_neither_blocks_nor_loses(pair: Pair) -> None:
    line, theirs = pair
    sent = [{"number": number, "filler": "x" * 10_000} for number in range(200)]
    for message in sent:
        line.send(message)
    other, received = LineSocket(theirs), []
    while len(received) < len(sent):
        line.flush()
        news = other.receive()
        assert news, "what waited was not sent on"
        received += news
    assert received == sent


def test_looking_for_news_sends_on_what_waits(pair: Pair) -> None:
    line, theirs = pair
    line.send({"filler": "x" * 1_000_000})
    other = LineSocket(theirs)
    received: list[dict[str, str]] = []
    for _ in range(100):
        line.receive()
        received += other.receive()
    assert [len(message["filler"]) for message in received] == [1_000_000]


def test_a_peer_that_went_away_is_noticed_and_its_last_words_are_heard(pair: Pair) -> None:
    line, theirs = pair
    theirs.sendall(b'{"last": "words"}\n{"cut o')
    theirs.close()
    assert line.receive() == [{"last": "words"}]
    assert line.is_closed
    assert line.receive() == []


def test_sending_to_a_peer_that_went_away_is_no_error(pair: Pair) -> None:
    line, theirs = pair
    theirs.close()
    line.send({"number": 1})
    line.send({"number": 2})
    assert line.is_closed


def test_a_peer_that_died_with_words_unread_is_no_error(pair: Pair) -> None:
    line, theirs = pair
    line.send({"never": "read"})
    theirs.close()  # the kernel answers the next read with a reset
    assert line.receive() == []
    assert line.is_closed


def test_it_can_be_waited_on(pair: Pair) -> None:
    line, theirs = pair
    assert line.fileno() >= 0
    assert line.fileno() != theirs.fileno()

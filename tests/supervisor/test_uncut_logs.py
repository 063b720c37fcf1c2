"""A Docker log that the pump takes as it comes: wherever it is cut, no record is lost or made up."""

from __future__ import annotations

import random
import socket
import uuid
import zlib
from collections.abc import Callable, Iterator

import pytest

from hosts.executors import frames
from hosts.executors.docker.logs import DockerLog, Splitter
from hosts.executors.docker.overlap import Overlap
from hosts.executors.frames import LONGEST_FRAME, STDERR, STDOUT, pack, stamp
from hosts.executors.log_source import Resume
from supervisor.worker.breadcrumb import Breadcrumbs
from supervisor.worker.inbox import Inbox, Wake
from supervisor.worker.log_pump import CHUNK_BYTES, LogEnded, LogPump, PieceRead
from tests.support.waiting import wait_until

HEAD = b"HTTP/1.0 200 OK\r\n\r\n"
NOON = 1_777_636_800_000_000_000
COMPLAINT = pack(3, stamp(NOON), b"error reading\n")  # an engine writes it where it cannot read its own log
_CUT = "cut off inside a record"


class Told:
    """A pump that follows one log, and what it tells of it."""

    def __init__(self, pump: LogPump, inbox: Inbox) -> None:
        self._inbox = inbox
        self.pieces: list[bytes] = []
        self.end: LogEnded | None = None
        self.engine, ours = socket.socketpair()
        ours.setblocking(False)
        source = DockerLog("docker", ours, Overlap(Resume()), Splitter("docker"), follow=True)
        pump.follow(uuid.uuid4(), source)

    def send(self, data: bytes, *, cuts: int = 0) -> None:
        """Send it, cut at so many places."""
        places = sorted(random.Random(cuts).choices(range(len(data)), k=cuts)) if data else []
        for start, end in zip([0, *places], [*places, len(data)], strict=True):
            self.engine.sendall(data[start:end])

    def until(self, condition: Callable[[], object]) -> None:
        def is_so() -> bool:
            for message in self._inbox.take():
                if isinstance(message, PieceRead):
                    self.pieces.append(zlib.decompress(message.piece.data))
                elif isinstance(message, LogEnded):
                    self.end = message
            return bool(condition())

        wait_until(is_so, what="the log to be read")

    def until_end(self) -> LogEnded:
        self.engine.close()
        self.until(lambda: self.end)
        assert self.end is not None
        return self.end


@pytest.fixture
def told() -> Iterator[Told]:
    wake = Wake()
    inbox = Inbox(wake)
    pump = LogPump(inbox, Breadcrumbs().logs)
    told = Told(pump, inbox)
    yield told
    told.engine.close()
    pump.stop(5)
    wake.close()


def _lines(count: int) -> list[bytes]:
    chance = random.Random(count)
    return [
        pack(
            chance.choice((STDOUT, STDERR)), stamp(NOON + n), chance.randbytes(chance.randrange(300)) + b"\n"
        )
        for n in range(count)
    ]


@pytest.mark.parametrize("cuts", [0, 1, 700])
def test_however_it_is_cut_every_record_is_there_once(told: Told, cuts: int) -> None:
    log = b"".join(_lines(900))
    told.send(HEAD + log, cuts=cuts)
    end = told.until_end()
    assert end.error == ""
    assert b"".join(told.pieces) == log
    assert all(frames.tally(piece).raw_bytes == len(piece) for piece in told.pieces)
    assert end.end == frames.recognisable_end(log)


def test_the_end_of_a_record_that_comes_late_is_waited_for(told: Told) -> None:
    first, second = _lines(2)
    told.send(HEAD + first + second[:20])
    told.until(lambda: told.pieces)
    told.send(second[20:])
    assert told.until_end().error == ""
    assert told.pieces == [first, second]


def test_a_log_that_ends_inside_a_record_keeps_what_is_before_it(told: Told) -> None:
    first, second = _lines(2)
    told.send(HEAD + first + second[:-1])
    assert _CUT in told.until_end().error
    assert told.pieces == [first]


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        (COMPLAINT, "cannot read the log: "),
        (b"\x09" * 60, "no record"),
        (b"\x01\x00\x00\x00" * 20, "no record"),
    ],
)
def test_what_is_no_record_is_told_after_all_that_were(told: Told, odd: bytes, words: str) -> None:
    lines = _lines(300)
    told.send(HEAD + b"".join(lines) + odd)
    told.until(lambda: told.end)
    assert told.end is not None
    assert words in told.end.error
    assert b"".join(told.pieces) == b"".join(lines)


def test_a_record_with_a_time_that_is_none_ends_its_log_only(told: Told) -> None:
    told.send(HEAD + pack(STDOUT, b"x" * frames.TIME_BYTES, b"?\n"))
    told.until(lambda: told.end)
    assert told.end is not None
    assert "no record" in told.end.error


def test_the_longest_record_is_taken_whole(told: Told) -> None:
    payload = b"x" * (LONGEST_FRAME - frames.TIME_BYTES - 1)
    log = pack(STDOUT, stamp(NOON), payload) + b"".join(_lines(2))
    assert len(log) > 4 * CHUNK_BYTES
    told.engine.setblocking(True)
    told.send(HEAD + log)
    assert told.until_end().error == ""
    assert b"".join(told.pieces) == log

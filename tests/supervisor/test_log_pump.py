"""The thread that reads all logs of a worker: how it cuts them, and how it holds back what nobody stores."""

from __future__ import annotations

import uuid
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from uuid import UUID

import pytest

from hosts.errors import ContainerExecutionError, DockerConnectionError
from hosts.executors import frames
from supervisor.worker import log_pump
from supervisor.worker.breadcrumb import Breadcrumbs
from supervisor.worker.inbox import Inbox, Wake
from supervisor.worker.log_pump import CHUNK_BYTES, SHARE_BYTES, LogEnded, LogPump, PieceRead
from tests.supervisor.log_sources import PolledSource, SocketSource
from tests.support.waiting import wait_until

LINE_BYTES = 16_000


class Reader:
    """A pump, and what it has told so far."""

    def __init__(self) -> None:
        self._wake = Wake()
        self._inbox = Inbox(self._wake)
        self.pump = LogPump(self._inbox, Breadcrumbs().logs)
        self.told: list[PieceRead | LogEnded] = []
        self._stored: Counter[UUID] = Counter()

    def follow(self, source: SocketSource | PolledSource) -> UUID:
        run_id = uuid.uuid4()
        self.pump.follow(run_id, source)
        return run_id

    def pieces(self, run_id: UUID) -> list[PieceRead]:
        self.told += self._inbox.take()
        return [said for said in self.told if isinstance(said, PieceRead) and said.run_id == run_id]

    def held(self, run_id: UUID) -> int:
        return sum(read.held for read in self.pieces(run_id))

    def text(self, run_id: UUID) -> bytes:
        data = b"".join(zlib.decompress(read.piece.data) for read in self.pieces(run_id))
        return b"".join(frame.payload for frame in frames.walk(data))

    def store(self, run_id: UUID) -> None:
        """All that was told of it so far is in the database."""
        for read in self.pieces(run_id)[self._stored[run_id] :]:
            self._stored[run_id] += 1
            self.pump.stored(run_id, read.held)

    def ended(self, run_id: UUID) -> LogEnded | None:
        self.pieces(run_id)
        found = [said for said in self.told if isinstance(said, LogEnded) and said.run_id == run_id]
        return found[-1] if found else None

    def end_of(self, run_id: UUID) -> LogEnded:
        end = wait_until(lambda: self.ended(run_id), what="the end of the log to be told")
        assert end is not None
        assert self.told.index(end) > max([self.told.index(read) for read in self.pieces(run_id)], default=-1)
        return end

    def wait_for(self, condition: Callable[[], bool]) -> None:
        wait_until(condition, what="the log to be read")

    def close(self) -> None:
        self.pump.stop(5)
        self._wake.close()


@pytest.fixture
def make_source() -> Iterator[Callable[[], SocketSource]]:
    made: list[SocketSource] = []

    def make() -> SocketSource:
        made.append(SocketSource())
        return made[-1]

    yield make
    for source in made:
        source.end()
        source.close()


@pytest.fixture
def reader(make_source: Callable[[], SocketSource]) -> Iterator[Reader]:
    reader = Reader()
    yield reader
    reader.close()  # before the sources that it reads


@pytest.fixture
def source(make_source: Callable[[], SocketSource]) -> SocketSource:
    return make_source()


def test_what_comes_soon_after_one_another_is_one_piece(reader: Reader, source: SocketSource) -> None:
    run_id = reader.follow(source)
    for number in range(3):
        source.write(b"%d\n" % number)
    reader.wait_for(lambda: bool(reader.pieces(run_id)))
    (read,) = reader.pieces(run_id)
    assert reader.text(run_id) == b"0\n1\n2\n"
    assert (read.piece.tally.stdout_lines, read.piece.tally.stdout_bytes) == (3, 6)


def test_while_somebody_watches_pieces_hardly_wait_and_afterwards_they_do(
    reader: Reader, source: SocketSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_pump, "FLUSH_AFTER_SECONDS", 600.0)
    run_id = reader.follow(source)
    reader.pump.watch({run_id: 60.0})
    for number in range(1, 4):
        source.write(b"%d\n" % number)
        reader.wait_for(lambda wanted=number: len(reader.pieces(run_id)) == wanted)
    reader.pump.watch({})
    wait_until(lambda: not reader.pump._watched, what="the pump to be told")
    source.write(b"4\n")
    wait_until(lambda: reader.pump._streams[run_id].size, what="the line to be read")
    with pytest.raises(AssertionError, match="in vain"):
        wait_until(lambda: len(reader.pieces(run_id)) > 3, 0.4)


def test_a_piece_does_not_wait_for_more_than_a_second(reader: Reader, source: SocketSource) -> None:
    run_id = reader.follow(source)
    source.write(b"alone\n")
    reader.wait_for(lambda: reader.text(run_id) == b"alone\n")
    assert not source.closed


def test_a_full_piece_is_cut_without_waiting_for_its_second(reader: Reader, source: SocketSource) -> None:
    run_id = reader.follow(source)
    reader.wait_for(lambda: source.write(b"x" * LINE_BYTES) and len(reader.pieces(run_id)) > 1)
    first = reader.pieces(run_id)[0]
    assert CHUNK_BYTES <= first.held < 2 * CHUNK_BYTES
    assert first.held == first.piece.tally.raw_bytes


def test_nothing_is_lost_added_or_out_of_order(reader: Reader, source: SocketSource) -> None:
    run_id = reader.follow(source)
    sent = [b"%06d%s\n" % (number, b"." * (number % 900)) for number in range(2000)]
    for line in sent:
        source.write(line, stream=frames.STDERR)
        for read in reader.pieces(run_id):
            reader.pump.stored(run_id, read.held)
    source.end()
    assert reader.end_of(run_id).error == ""
    assert reader.text(run_id) == b"".join(sent)
    assert source.closed


def test_a_source_over_its_share_is_not_read_on(reader: Reader, source: SocketSource) -> None:
    run_id = reader.follow(source)
    written = source.fill(b"x" * LINE_BYTES)
    reader.wait_for(lambda: reader.held(run_id) >= SHARE_BYTES)
    assert reader.held(run_id) < SHARE_BYTES + 2 * CHUNK_BYTES
    assert written > reader.held(run_id), "the rest waits where it came from"


def test_what_was_stored_makes_room_to_read_on(reader: Reader, source: SocketSource) -> None:
    run_id = reader.follow(source)
    source.fill(b"x" * LINE_BYTES)
    reader.wait_for(lambda: reader.held(run_id) >= SHARE_BYTES)
    before = reader.held(run_id)
    first = reader.pieces(run_id)[0]
    reader.pump.stored(run_id, first.held)
    reader.wait_for(lambda: reader.held(run_id) > before)
    assert reader.held(run_id) - first.held < SHARE_BYTES + 2 * CHUNK_BYTES


def test_one_source_over_its_share_holds_up_no_other(
    reader: Reader, source: SocketSource, make_source: Callable[[], SocketSource]
) -> None:
    reader.follow(source)
    source.fill(b"x" * LINE_BYTES)
    other = make_source()
    run_id = reader.follow(other)
    other.write(b"hello\n")
    other.end()
    assert reader.end_of(run_id).error == ""
    assert reader.text(run_id) == b"hello\n"


def test_all_sources_together_have_a_share_too(
    reader: Reader,
    source: SocketSource,
    make_source: Callable[[], SocketSource],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log_pump, "TOTAL_BYTES", CHUNK_BYTES)
    hungry = reader.follow(source)
    source.fill(b"x" * LINE_BYTES)
    late = make_source()
    run_id = reader.follow(late)
    late.write(b"waits\n")
    late.end()
    reader.pump.stored(uuid.uuid4(), 1)  # of a run that is not known any more: changes nothing
    assert reader.pieces(run_id) == []

    def ended() -> LogEnded | None:
        reader.store(hungry)
        return reader.ended(run_id)

    wait_until(ended, what="the late one to have its turn")
    assert reader.end_of(run_id).error == ""
    assert reader.text(run_id) == b"waits\n"


def test_a_broken_source_is_told_after_what_was_read(reader: Reader, source: SocketSource) -> None:
    run_id = reader.follow(source)
    source.write(b"before\n")
    source.fail(DockerConnectionError("cut off"))
    end = reader.end_of(run_id)
    assert (end.error, end.is_gone, reader.text(run_id)) == ("cut off", False, b"before\n")
    assert source.closed


def test_a_log_that_the_engine_does_not_have_is_told_as_gone(reader: Reader, source: SocketSource) -> None:
    run_id = reader.follow(source)
    source.fail(ContainerExecutionError("no such container", failure_class="log_missing"))
    assert reader.end_of(run_id).is_gone


def test_a_source_that_crashes_takes_no_other_with_it(
    reader: Reader, source: SocketSource, make_source: Callable[[], SocketSource]
) -> None:
    bad = make_source()
    bad_id, run_id = reader.follow(bad), reader.follow(source)
    bad.fail(ZeroDivisionError("a bug"))
    end = reader.end_of(bad_id)
    assert ("a bug" in end.error, end.is_gone, bad.closed) == (True, False, True)
    source.write(b"goes on\n")
    reader.wait_for(lambda: reader.text(run_id) == b"goes on\n")


def test_a_dropped_source_is_let_go_and_what_was_read_is_sent(reader: Reader, source: SocketSource) -> None:
    run_id = reader.follow(source)
    source.write(b"read\n")
    reader.wait_for(lambda: source.bytes_read > 0)
    reader.pump.drop(run_id)
    assert reader.end_of(run_id).error, "it is not the end of the log"
    assert (reader.text(run_id), source.closed) == (b"read\n", True)


def test_a_second_source_takes_the_place_of_the_first(
    reader: Reader, source: SocketSource, make_source: Callable[[], SocketSource]
) -> None:
    run_id = reader.follow(source)
    source.write(b"one\n")
    reader.wait_for(lambda: source.bytes_read > 0)
    second = make_source()
    reader.pump.follow(run_id, second)
    second.write(b"two\n")
    reader.wait_for(lambda: reader.text(run_id) == b"one\ntwo\n")
    assert source.closed
    second.end()


def test_a_source_without_a_descriptor_is_asked_again_and_again(reader: Reader) -> None:
    source = PolledSource()
    run_id = reader.follow(source)
    reader.wait_for(lambda: source.reads > 3)
    source.data.append(frames.pack(frames.STDOUT, frames.stamp(0), b"at last\n"))
    source.data.append(None)
    assert reader.end_of(run_id).error == ""
    assert reader.text(run_id) == b"at last\n"


def test_stopping_sends_all_that_was_read_and_lets_every_source_go(
    reader: Reader, make_source: Callable[[], SocketSource]
) -> None:
    sources = [make_source() for _ in range(3)]
    runs = [reader.follow(source) for source in sources]
    for source in sources:
        source.write(b"the last words\n")
    reader.wait_for(lambda: all(source.bytes_read for source in sources))
    reader.pump.stop(5)
    assert [reader.text(run_id) for run_id in runs] == [b"the last words\n"] * 3
    assert all(reader.end_of(run_id).error for run_id in runs)
    assert all(source.closed for source in sources)


def test_orders_to_a_stopped_pump_are_no_error(reader: Reader) -> None:
    reader.pump.stop(5)
    reader.pump.drop(uuid.uuid4())
    reader.pump.stored(uuid.uuid4(), 1)
    reader.pump.stop(5)


def test_the_end_of_a_log_that_came_to_its_end_is_told(reader: Reader, source: SocketSource) -> None:
    run_id = reader.follow(source)
    for number in range(3000):
        source.write(b"%d\n" % number)
        for read in reader.pieces(run_id):
            reader.pump.stored(run_id, read.held)
    source.end()
    end = reader.end_of(run_id).end
    stored = b"".join(zlib.decompress(read.piece.data) for read in reader.pieces(run_id))
    assert end == frames.recognisable_end(stored) != b""


def test_a_log_that_broke_has_no_end(reader: Reader, source: SocketSource) -> None:
    run_id = reader.follow(source)
    source.write(b"one\n")
    source.write(b"two\n")
    source.fail(DockerConnectionError("cut off"))
    assert reader.end_of(run_id).end == b""


def test_a_busy_log_is_not_read_record_by_record(reader: Reader, source: SocketSource) -> None:
    run_id = reader.follow(source)
    for number in range(3000):
        source.write(b"%d\n" % number)
    source.end()
    assert reader.end_of(run_id).error == ""
    assert source.reads < 1000

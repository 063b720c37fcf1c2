"""A log that is read with the news of the exit: whole if it is short, and never lost if it is not."""

from __future__ import annotations

import os

import pytest

from hosts.errors import DockerConnectionError
from hosts.executors import frames
from supervisor.worker import short_log
from supervisor.worker.logbook import Logbook
from supervisor.worker.run import LogStage, Need
from supervisor.worker.short_log import BegunLog, ShortLog
from tests.supervisor.runs import NOW
from tests.supervisor.test_first_moment import exited_at_once
from tests.supervisor.test_logbook import FakeEngine


def frame(text: bytes) -> bytes:
    body = b"2026-01-02T03:04:05.000000006Z " + text
    return frames.HEADER.pack(1, len(body)) + body


class PipeSource:
    """A LogSource that gives what it was handed, read by read, and is readable where that is asked for."""

    missing = ""

    def __init__(self, *reads: bytes | Exception | None, readable: bool = False) -> None:
        self._reads = list(reads)
        self._reader, self._writer = os.pipe()
        self.closed = False
        if readable:
            os.write(self._writer, b"x")

    def fileno(self) -> int:
        return self._reader

    def read(self, budget: int) -> bytes | None:
        given = self._reads.pop(0) if self._reads else b""
        if isinstance(given, Exception):
            raise given
        return given

    def close(self) -> None:
        if not self.closed:
            os.close(self._reader)
            os.close(self._writer)
        self.closed = True


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(short_log, "MOST_SECONDS", 0.001)


def test_a_short_log_is_read_to_its_end() -> None:
    source = PipeSource(frame(b"one\n"), b"", frame(b"two\n"), None, readable=True)
    assert short_log.read(source) == ShortLog(frame(b"one\n") + frame(b"two\n"), "")
    assert source.closed


def test_an_end_that_nothing_more_makes_readable_is_found_all_the_same() -> None:
    assert short_log.read(PipeSource(frame(b"one\n"), None)) == ShortLog(frame(b"one\n"), "")


def test_a_slow_log_is_handed_on_with_what_was_read(quickly: None) -> None:
    begun = short_log.read(PipeSource(frame(b"one\n"), b"", frame(b"two\n"), None))
    assert isinstance(begun, BegunLog)
    assert [begun.read(1), begun.read(1), begun.read(1)] == [frame(b"one\n"), frame(b"two\n"), None]
    begun.close()


def test_a_long_log_is_handed_on_with_what_was_read() -> None:
    large = frame(b"x" * short_log.MOST_BYTES)
    begun = short_log.read(PipeSource(large, None))
    assert isinstance(begun, BegunLog)
    assert [begun.read(1), begun.read(1)] == [large, None]
    begun.close()


def test_a_broken_source_is_closed() -> None:
    source = PipeSource(DockerConnectionError("cut off"))
    with pytest.raises(DockerConnectionError):
        short_log.read(source)
    assert source.closed


def test_a_short_log_needs_no_log_pump() -> None:
    engine, run = FakeEngine(), exited_at_once()
    Logbook(engine).harvested(run, ShortLog(frame(b"one\n"), ""), NOW)  # type: ignore[arg-type]
    assert engine.pump.orders == []
    assert (run.log, len(run.pieces), run.pieces[0].held) == (LogStage.DONE, 1, 0)


def test_what_is_no_log_is_read_again_by_the_pump() -> None:
    engine, run = FakeEngine(), exited_at_once()
    Logbook(engine).harvested(run, ShortLog(b"no frame at all", ""), NOW)  # type: ignore[arg-type]
    assert (run.log, run.need, list(run.pieces)) == (LogStage.ENDED, Need.COLLECT, [])

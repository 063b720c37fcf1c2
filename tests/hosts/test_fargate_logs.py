"""Logs by way of CloudWatch: followed, taken up again without gap or repeat, and complete at the end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hosts.errors import DockerConnectionError
from hosts.executors.fargate.logs import CloudWatchLog, Page
from hosts.executors.frames import PIECE_BYTES, Frame, pack, tally, walk
from hosts.executors.log_source import Resume
from tests.hosts.fargate import executor_of, job_view, launched, lines_of
from tests.support.aws import Aws, error
from tests.support.waiting import wait_until

NOON = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


def at(seconds: float) -> int:
    return int((NOON + timedelta(seconds=seconds)).timestamp() * 1000)


class Stream:
    """A log stream of CloudWatch that a test writes; it is read page by page as GetLogEvents gives it."""

    def __init__(self, *events: tuple[float, str], page: int = 2) -> None:
        self.events = [{"timestamp": at(seconds), "message": text} for seconds, text in events]
        self.page = page
        self.stopped: float | None = 100.0
        self.asked: list[int | None] = []

    def fetch(self, token: str | None, since: int | None) -> Page | None:
        self.asked.append(since)
        rest = [event for event in self.events if since is None or event["timestamp"] >= since]
        place = int(token or 0)
        return Page(rest[place : place + self.page], str(min(place + self.page, len(rest))))

    def open(self, resume: Resume | None = None, *, follow: bool = False) -> CloudWatchLog:
        return CloudWatchLog(
            self.fetch, lambda: self.stopped, resume or Resume(), follow=follow, settle_seconds=10
        )


def read(log: CloudWatchLog, steps: int = 50) -> bytes | None:
    """What it gives in so many steps, to its end (None) if it comes to it with nothing."""
    data = b""
    for _ in range(steps):
        if log.step() is None:
            break
    while piece := log.read(1 << 20):
        data += piece
    return data


def resume_at(data: bytes) -> Resume:
    """Where these frames end, as it is stored."""
    counted = tally(data)
    return Resume(newest=counted.newest, tail=data, stdout_bytes=counted.stdout_bytes, first=data[:38])


def test_events_are_frames_a_line_each_of_stdout() -> None:
    log = Stream((0, "one"), (0.5, "two")).open()
    assert list(walk(read(log) or b"")) == [
        Frame(1, b"2026-11-01T12:00:00.000000000Z", b"one\n"),
        Frame(1, b"2026-11-01T12:00:00.500000000Z", b"two\n"),
    ]
    assert log.read(1) is None


def test_a_long_line_comes_in_pieces_as_engines_cut_them() -> None:
    line = "x" * (2 * PIECE_BYTES) + "y"
    pieces = [frame.payload for frame in walk(read(Stream((0, line)).open()) or b"")]
    assert [len(piece) for piece in pieces] == [PIECE_BYTES, PIECE_BYTES, 2]
    assert b"".join(pieces) == line.encode() + b"\n"


@pytest.mark.parametrize("stored", range(1, 8))
def test_it_goes_on_where_the_stored_log_ends(stored: int) -> None:
    # Equal lines of one millisecond among them, and a line in pieces.
    texts = ["same", "same", "z" * (PIECE_BYTES + 5), "same", "same", "last"]
    stream = Stream(*((index // 3, text) for index, text in enumerate(texts)))
    everything = read(stream.open()) or b""
    frames = [pack(*frame) for frame in walk(everything)]
    assert len(frames) == 7
    rest = read(stream.open(resume_at(b"".join(frames[:stored]))))
    assert rest == b"".join(frames[stored:])


def test_only_the_last_seconds_are_asked_for_again() -> None:
    stream = Stream(*((second, f"line {second}") for second in range(60)), page=20)
    everything = read(stream.open()) or b""
    stored = [pack(*frame) for frame in walk(everything)]
    stream.asked.clear()
    assert read(stream.open(resume_at(b"".join(stored[40:50])))) == b"".join(stored[50:])
    assert set(stream.asked) == {at(49 - 3)}


def test_without_stored_frames_at_hand_bytes_are_counted() -> None:
    stream = Stream((0, "one"), (1, "two"), (2, "three"))
    resume = Resume(newest="2026-11-01T12:00:01.000000000Z", stdout_bytes=6)
    payload = b"".join(frame.payload for frame in walk(read(stream.open(resume)) or b""))
    assert payload == b"o\nthree\n"


def test_it_is_complete_only_some_time_after_the_stop() -> None:
    stream = Stream((0, "one"))
    stream.stopped = 3.0
    log = stream.open()
    assert [frame.payload for frame in walk(read(log) or b"")] == [b"one\n"]
    assert log.read(1) == b""
    stream.events.append({"timestamp": at(1), "message": "late"})
    stream.stopped = 11.0
    assert [frame.payload for frame in walk(read(log) or b"")] == [b"late\n"]
    assert log.read(1) is None


def test_a_running_task_is_read_to_its_present_end_unless_it_is_followed() -> None:
    stream = Stream((0, "one"))
    stream.stopped = None
    once, followed = stream.open(), stream.open(follow=True)
    assert read(once) == read(followed)
    assert once.read(1) is None
    assert followed.read(1) == b""


def test_stored_events_that_are_not_there_any_more_are_said() -> None:
    stored = read(Stream((0, "one"), (1, "two")).open()) or b""
    log = Stream((2, "three")).open(resume_at(stored))
    assert [frame.payload for frame in walk(read(log) or b"")] == [b"three\n"]
    assert "does not show a part of the log" in log.missing


def test_the_last_records_alone_are_not_enough_and_that_is_said_before_any_frame() -> None:
    stored = read(Stream((0, "one"), (1, "two")).open()) or b""
    log = Stream((0, "one"), (1, "two")).open(Resume(newest=tally(stored).newest, end=stored))
    with pytest.raises(DockerConnectionError, match="by its last records"):
        log.read(1)


def test_what_nobody_takes_is_not_fetched() -> None:
    stream = Stream(*((index, "x" * 65_536) for index in range(64)), page=4)
    log = stream.open()
    read_ahead = [log.step() for _ in range(40)]
    assert len(stream.asked) == 4
    assert read_ahead[-1]
    assert len(log.read(1 << 30) or b"") < 2 * 1024 * 1024
    log.step()
    assert len(stream.asked) == 5


def test_a_log_is_followed_over_the_network_and_completed(aws: Aws) -> None:
    executor = executor_of(aws)
    made = launched(executor, job_view())
    (task,) = aws.tasks
    log = executor.open_log(made.container_id, Resume(), follow=True)
    assert log.read(1) == b""  # there is no stream yet
    aws.run(task)
    aws.say(task, "one", "two")
    assert lines_of(log, 2) == [b"one\n", b"two\n"]
    aws.say(task, "three")
    aws.stop(task)
    assert lines_of(log) == [b"three\n"]
    again = executor.open_log(made.container_id, Resume(), follow=False)
    assert lines_of(again) == [b"one\n", b"two\n", b"three\n"]
    for source in (log, again, again):
        source.close()


def test_throttled_reads_are_tried_again_and_then_told(aws: Aws) -> None:
    executor = executor_of(aws)
    made = launched(executor, job_view())
    (task,) = aws.tasks
    aws.say(task, "one")
    answers: list[Any] = [error("ThrottlingException", "Rate exceeded")] * 4  # three of them in one call
    aws.tap = lambda operation, _: answers.pop() if operation == "GetLogEvents" and answers else None
    log = executor.open_log(made.container_id, Resume(), follow=True)
    assert lines_of(log, 1) == [b"one\n"]
    log.close()

    aws.tap = lambda operation, _: (
        error("AccessDeniedException", "no") if operation == "GetLogEvents" else None
    )
    broken = executor.open_log(made.container_id, Resume(), follow=True)
    with pytest.raises(DockerConnectionError, match="AccessDeniedException"):
        wait_until(lambda: broken.read(1) is None, timeout_seconds=20)

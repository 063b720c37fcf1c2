"""Logs from Cloud Logging: late, out of order, in parts, a page at a time, and few reads a minute."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from hosts.errors import DockerConnectionError
from hosts.executors import frames
from hosts.executors.cloudrun import entries
from hosts.executors.cloudrun.logs import Quota
from hosts.executors.log_source import Resume
from tests.support.cloudrun import CloudBench, payloads, read_to_end, read_until, resume_after, shell
from tests.support.fake_cloudrun import Fault
from tests.support.waiting import wait_until

SECOND = 10**9


@pytest.fixture
def written(cloud: CloudBench) -> str:
    """The id of a container that has ended, and has written nothing yet."""
    return cloud.run("true").container_id


def write(cloud: CloudBench, container_id: str, *lines: str, ago: float = 30.0, step: float = 0.001) -> None:
    """Lines of a while ago, one after the other."""
    start = time.time_ns() - int(ago * SECOND)
    for number, line in enumerate(lines):
        at = start + int(number * step * SECOND)
        cloud.fake.logs.write(container_id, "stdout", at_ns=at, textPayload=line)


def test_both_streams_come_with_the_times_of_their_lines(cloud: CloudBench, written: str):
    at = 1_790_000_000_123_456_789
    cloud.fake.logs.write(written, "stdout", at_ns=at, textPayload="out")
    cloud.fake.logs.write(written, "stderr", at_ns=at + 10**6, textPayload="err")
    cloud.fake.logs.write(written, "stdout", at_ns=at // SECOND * SECOND + SECOND, textPayload="")
    one, two, three = frames.walk(cloud.log(written))
    assert (one.stream, one.payload, one.time[-11:]) == (1, b"out\n", b".123456789Z")
    assert (two.stream, two.payload, two.time[-11:]) == (2, b"err\n", b".124456789Z")
    assert (three.payload, three.time[-11:]) == (b"\n", b".000000000Z")


def test_what_others_write_is_none_of_its_log(cloud: CloudBench, written: str):
    write(cloud, written, "mine")
    write(cloud, f"{written}0", "of another execution")
    cloud.fake.logs.write(written, "requests", textPayload="of another log")
    assert payloads(cloud.log(written)) == (b"mine\n", b"")


def test_a_log_of_many_pages_comes_whole_and_in_order(cloud: CloudBench, written: str):
    lines = [f"line {number}" for number in range(2500)]
    write(cloud, written, *lines)
    assert payloads(cloud.log(written))[0].decode().splitlines() == lines
    assert cloud.fake.logs.reads >= 3


def test_entries_of_one_moment_are_all_kept_and_one_that_is_stored_twice_comes_once(
    cloud: CloudBench, written: str
):
    at = time.time_ns() - 20 * SECOND
    for name in ("b", "a", "b", "c"):
        cloud.fake.logs.write(written, "stdout", at_ns=at, insert_id=name, textPayload="same")
    assert payloads(cloud.log(written))[0] == b"same\n" * 3


def test_the_last_read_waits_for_entries_that_show_up_late_and_out_of_order(cloud: CloudBench, written: str):
    lag = {"first": 0.3, "second": 0.0, "third": 0.6}
    cloud.fake.logs.lag = lambda entry: lag[entry["textPayload"]]
    write(cloud, written, "first", "second", "third")
    assert sorted(payloads(cloud.log(written))[0].split()) == [b"first", b"second", b"third"]


def test_what_is_stored_does_not_come_again_whatever_came_late_before_it(cloud: CloudBench, written: str):
    write(cloud, written, "one", "one", "three", ago=30)
    stored = cloud.log(written)
    write(cloud, written, "late, and older than all", ago=40)
    write(cloud, written, "new", ago=20)
    rest = cloud.log(written, resume_after(stored))
    assert payloads(rest)[0] == b"late, and older than all\nnew\n"


def test_a_log_resumes_between_two_lines_that_are_the_same(cloud: CloudBench, written: str):
    at = time.time_ns() - 20 * SECOND
    for number in range(4):
        cloud.fake.logs.write(written, "stdout", at_ns=at, insert_id=str(number), textPayload="tick")
    log = cloud.log(written)
    half = log[: len(log) // 2]
    assert half + cloud.log(written, resume_after(half)) == log


def test_following_gives_lines_soon_and_once_and_ends_with_the_execution(cloud: CloudBench):
    container_id = cloud.start(shell("echo up; sleep 3; echo down"))  # Google tells its time in whole seconds
    source = cloud.executor.open_log(container_id, Resume(), follow=True)
    log = read_until(source, b"up\n")
    log += read_to_end(source)
    cloud.ended(container_id)
    log += cloud.log(container_id, resume_after(log))
    assert payloads(log)[0] == b"up\ndown\n"


def test_following_holds_back_what_may_still_have_a_forerunner(cloud: CloudBench):
    container_id = cloud.start(shell("exec sleep 1000"))
    cloud.executor = cloud.another_executor(log_settle_seconds=1.0)
    cloud.fake.logs.lag = lambda entry: 0.6 if entry["textPayload"] == "first" else 0.0
    write(cloud, container_id, "first", "second", ago=0)
    source = cloud.executor.open_log(container_id, Resume(), follow=True)
    log = read_until(source, b"second\n")
    source.close()
    assert payloads(log)[0] == b"first\nsecond\n"


def test_a_long_line_is_cut_into_pieces_and_its_parts_are_one(cloud: CloudBench, written: str):
    at = time.time_ns() - 20 * SECOND
    for index in (1, 0):
        split = {"uid": "a line", "index": index, "totalSplits": 2}
        text = "x" * 250_000 if index == 0 else "y" * 10
        cloud.fake.logs.write(written, "stdout", at_ns=at, textPayload=text, split=split)
    log = list(frames.walk(cloud.log(written)))
    assert b"".join(frame.payload for frame in log) == b"x" * 250_000 + b"y" * 10 + b"\n"
    assert {len(frame.payload) for frame in log[:-1]} == {frames.PIECE_BYTES}


def test_a_line_that_is_json_comes_as_json_again(cloud: CloudBench, written: str):
    line = {"severity": "WARNING", "message": "é", "count": 3}
    payload = {key: value for key, value in line.items() if key != "severity"}
    cloud.fake.logs.write(written, "stdout", severity="WARNING", jsonPayload=payload)
    (frame,) = frames.walk(cloud.log(written))
    assert frame.payload.endswith(b"\n")
    assert json.loads(frame.payload) == line


def test_reads_that_fail_end_the_source_and_those_that_are_throttled_do_not(cloud: CloudBench, written: str):
    write(cloud, written, "here")
    cloud.fake.faults.append(Fault("POST", "entries:list", status=503))
    with pytest.raises(DockerConnectionError, match="503"):
        cloud.log(written)
    cloud.fake.logs.reads_before_quota = 0
    source = cloud.executor.open_log(written, Resume(), follow=False)
    wait_until(lambda: cloud.fake.logs.reads_before_quota < 0, what="a read that is refused")
    assert source.read(1000) == b""
    source.close()


def test_a_source_that_nobody_reads_is_not_read_further(cloud: CloudBench, written: str):
    write(cloud, written, *(f"{number:04}" * 300 for number in range(1500)), ago=40)
    source = cloud.executor.open_log(written, Resume(), follow=False)
    wait_until(lambda: not source.has_room, timeout_seconds=10, what="the buffer to be full")
    reads = cloud.fake.logs.reads
    assert len(source.read(10)) < 2_000
    assert cloud.fake.logs.reads == reads == 1
    assert payloads(read_to_end(source))[0].count(b"\n") == 1499


def test_a_quota_is_never_overdrawn_within_a_minute():
    quota = Quota(60)
    granted = sum(not quota.wait_seconds() for _ in range(100))
    assert granted == 10
    assert 0 < quota.wait_seconds() <= 60 / 50
    quota.rest(10)
    assert quota.wait_seconds() > 9


@pytest.mark.parametrize(
    ("time_text", "stamp"),
    [
        ("2026-11-23T10:00:00Z", "2026-11-23T10:00:00.000000000Z"),
        ("2026-11-23T10:00:00.5Z", "2026-11-23T10:00:00.500000000Z"),
        ("2026-11-23T10:00:00.123456789Z", "2026-11-23T10:00:00.123456789Z"),
    ],
)
def test_times_have_nine_digits(time_text: str, stamp: str):
    assert entries.stamp(time_text) == stamp


@pytest.mark.parametrize("odd", [{}, {"logName": "x"}, {"textPayload": None}, {"split": {}}])
def test_entries_that_are_no_lines_make_no_frames_and_no_error(odd: dict[str, Any]):
    entry = {"timestamp": "2026-11-23T10:00:00Z", "insertId": "1", **odd}
    assert entries.Assembler().frames(entry) == []

"""Logs of real containers, byte for byte, however often the reading is cut off."""

from __future__ import annotations

import base64
import dataclasses
import random
import select

import pytest

from hosts.errors import DockerConnectionError
from hosts.executors.docker import DockerExecutor
from hosts.executors.frames import STDERR, STDOUT, moment, nanoseconds, pack, recognisable_end, stamp, walk
from hosts.executors.log_source import Resume
from tests.support.containers import (
    NOTHING_STORED,
    drain,
    host_view,
    launch,
    read_log,
    resume_after,
    run,
    script,
    until_exited,
    written,
)
from tests.support.relay import Relay
from tests.support.waiting import wait_until

pytestmark = pytest.mark.docker

SEED = 20240229
BUSY_SCRIPT = """
i=0
while [ $i -lt 400 ]; do
  echo "line $i of standard output"
  [ $((i % 3)) = 0 ] && echo "line $i of standard error" >&2
  [ $((i % 50)) = 0 ] && head -c 40000 /dev/zero | tr '\\0' x && echo
  [ $((i % 70)) = 0 ] && head -c 32768 /dev/zero | tr '\\0' y && echo
  i=$((i + 1))
done
printf 'no newline at the end'
"""


@pytest.fixture
def busy_log(executor):
    """A finished container that wrote much on both streams, and its whole log."""
    container_id = run(executor, script(BUSY_SCRIPT)).container_id
    return container_id, read_log(executor, container_id)


def _prefix(log: bytes, count: int) -> bytes:
    return b"".join(pack(*frame) for frame in list(walk(log))[:count])


def _echo(stdout: bytes, stderr: bytes):
    encoded = {"OUT": base64.b64encode(stdout).decode(), "ERR": base64.b64encode(stderr).decode()}
    return script('printf %s "$OUT" | base64 -d; printf %s "$ERR" | base64 -d >&2', environment=encoded)


@pytest.mark.parametrize(
    ("stdout", "stderr"),
    [
        (b"", b""),
        (b"one\ntwo\n", b"three\n"),
        (b"no newline", b"none\nhere"),
        (b"\n\n\r\n\x00\n", b"\xff\xfe\x80 not UTF-8 \xc3\n"),
        (b"x" * 16_384 + b"\nafter\n", b"y" * 16_383 + b"\nafter\n"),
        (b"z" * 40_000 + b"\n" + b"z" * 40_000, b"1\n" * 3000),
        (random.Random(SEED).randbytes(60_000), random.Random(SEED + 1).randbytes(40_000)),
    ],
)
def test_what_was_written_is_what_is_read(executor, stdout, stderr):
    container_id = run(executor, _echo(stdout, stderr)).container_id

    log = read_log(executor, container_id)

    assert written(log, STDOUT) == stdout
    assert written(log, STDERR) == stderr


def test_a_header_inside_the_payload_is_no_header(executor):
    forged = pack(STDERR, b"2030-01-01T00:00:00.000000000Z", b"I am not an error\n")
    container_id = run(executor, _echo(forged * 3, b"")).container_id

    log = read_log(executor, container_id)

    assert written(log, STDOUT) == forged * 3
    assert written(log, STDERR) == b""


def test_lines_come_while_the_container_runs(executor):
    container_id = launch(executor, script("read line < /dev/null; echo ready; sleep 60"))
    source = executor.open_log(container_id, NOTHING_STORED, follow=True)

    data = wait_until(lambda: source.read(1 << 20), 10, "the first line")

    assert [frame.payload for frame in walk(data)] == [b"ready\n"]
    assert source.read(1 << 20) == b""
    executor.signal(container_id, "KILL")
    assert list(drain(source)) == []


def test_a_budget_keeps_one_log_from_taking_all_the_time(busy_log, executor):
    container_id, log = busy_log

    parts = list(drain(executor.open_log(container_id, NOTHING_STORED, follow=False), budget=1000))

    assert b"".join(parts) == log
    assert len(parts) > 3


def test_a_followed_log_and_one_last_read_make_the_whole(executor):
    container_id = launch(executor, script(BUSY_SCRIPT))

    followed = read_log(executor, container_id, follow=True)
    until_exited(executor, container_id)
    rest = read_log(executor, container_id, resume_after(followed))

    assert followed + rest == read_log(executor, container_id)
    assert written(followed + rest, STDOUT).endswith(b"no newline at the end")


@pytest.mark.parametrize("missing", [0, 1, 10])
def test_the_end_of_what_is_stored_is_enough_to_go_on_from(busy_log, executor, missing):
    container_id, log = busy_log
    stored = _prefix(log, len(list(walk(log))) - missing)
    end = recognisable_end(stored)

    assert end
    assert stored + read_log(executor, container_id, Resume(end=end)) == log


def test_of_a_long_log_only_the_last_records_are_asked_for_again(executor, docker_engine):
    container_id = run(executor, script("seq 30000; seq 10 >&2")).container_id
    log = read_log(executor, container_id)
    stored = _prefix(log, 29_990)
    with Relay(docker_engine.url.removeprefix("unix://")) as relay:
        far = DockerExecutor(host_view(relay.url))
        far.check()
        relay.cut_after = 50_000

        rest = read_log(far, container_id, Resume(end=recognisable_end(stored)))

        far.close()
    assert stored + rest == log


@pytest.mark.parametrize("missing", [1, 150, 1_000])
def test_an_end_is_found_again_or_it_is_said_that_it_is_not(executor, missing):
    container_id = run(executor, script("seq 3000")).container_id
    log = read_log(executor, container_id)
    stored = _prefix(log, 3000 - missing)
    resume = Resume(end=recognisable_end(stored))

    if missing < 1_000:
        assert stored + read_log(executor, container_id, resume) == log
    else:
        with pytest.raises(DockerConnectionError, match="are not those that are stored"):
            read_log(executor, container_id, resume)


def test_a_log_goes_on_where_it_was_cut(busy_log, executor):
    container_id, log = busy_log
    count = len(list(walk(log)))
    chance = random.Random(SEED)

    for cut in [0, 1, count - 1, count, *(chance.randrange(count) for _ in range(20))]:
        stored = _prefix(log, cut)
        assert stored + read_log(executor, container_id, resume_after(stored)) == log


def test_without_a_tail_it_goes_on_by_count(busy_log, executor):
    container_id, log = busy_log
    for cut in (3, 100, 400):
        stored = _prefix(log, cut)
        resume = resume_after(stored)
        bare = Resume(
            newest=resume.newest, stdout_bytes=resume.stdout_bytes, stderr_bytes=resume.stderr_bytes
        )
        assert stored + read_log(executor, container_id, bare) == log


@pytest.mark.slow
def test_a_line_that_takes_long_to_end_is_not_lost(executor):
    # All pieces of a long line carry its first piece's time, so the last ones are "older" than what we have.
    slow_line = "head -c 16384 /dev/zero | tr '\\0' a; sleep 3.5; echo other >&2; sleep 0.5; printf bbb; echo"
    container_id = launch(executor, script(slow_line))
    source = executor.open_log(container_id, NOTHING_STORED, follow=True)
    stored = b""
    while b"other" not in stored:
        select.select([source], [], [], 10)
        stored += source.read(1 << 20) or b""
    source.close()
    until_exited(executor, container_id)

    whole = stored + read_log(executor, container_id, resume_after(stored))

    assert whole == read_log(executor, container_id)
    assert written(whole, STDOUT).rstrip(b"\n") == b"a" * 16_384 + b"bbb"


def test_a_connection_cut_anywhere_loses_nothing(busy_log, executor, docker_engine):
    container_id, log = busy_log
    chance = random.Random(SEED)
    with Relay(docker_engine.url.removeprefix("unix://")) as relay:
        far = DockerExecutor(host_view(relay.url))
        far.check()
        stored = b""
        while relay.cut_after is not None or not stored:
            relay.cut_after = chance.randrange(500, 90_000) if relay.connections < 10 else None
            stored += _read_until_broken(far, container_id, resume_after(stored))
        far.close()

    assert stored == log


def _read_until_broken(executor, container_id, resume):
    parts = []
    try:
        for data in drain(executor.open_log(container_id, resume, follow=False)):
            parts.append(data)
    except DockerConnectionError:
        pass
    return b"".join(parts)


def test_a_cut_is_never_taken_for_the_end(busy_log, executor, docker_engine):
    container_id, log = busy_log
    with Relay(docker_engine.url.removeprefix("unix://")) as relay:
        far = DockerExecutor(host_view(relay.url))
        far.check()
        for cut_after in (0, 40, 5000, len(log)):
            relay.cut_after = cut_after
            with pytest.raises(DockerConnectionError):
                list(drain(far.open_log(container_id, NOTHING_STORED, follow=False)))
        far.close()


def test_two_readers_of_one_log_see_the_same(busy_log, executor):
    container_id, log = busy_log
    sources = [executor.open_log(container_id, NOTHING_STORED, follow=follow) for follow in (True, False)]

    assert [b"".join(drain(source)).startswith(log[:100_000]) for source in sources] == [True, True]


TERMINAL_SCRIPT = """
i=0
while [ $i -lt 400 ]; do
  echo "line $i"
  [ $((i % 50)) = 0 ] && head -c 40000 /dev/zero | tr '\\0' x && echo
  [ $((i % 70)) = 0 ] && head -c 32766 /dev/zero | tr '\\0' y && echo
  i=$((i + 1))
done
echo error >&2
printf 'no newline at the end'
"""


def test_a_terminals_log_is_read_and_taken_up_like_any_other(executor):
    container_id = run(executor, script(TERMINAL_SCRIPT, tty=True)).container_id
    log = read_log(executor, container_id, Resume(tty=True))

    expected = ""
    for number in range(400):
        expected += f"line {number}\n"
        expected += "x" * 40_000 + "\n" if number % 50 == 0 else ""
        expected += "y" * 32_766 + "\n" if number % 70 == 0 else ""
    text = (expected + "error\n").replace("\n", "\r\n") + "no newline at the end"
    assert written(log, STDOUT) == text.encode()
    count = len(list(walk(log)))
    for cut in (1, 2, 3, 77, count - 1, count):
        stored = _prefix(log, cut)
        resume = dataclasses.replace(resume_after(stored), tty=True)
        assert stored + read_log(executor, container_id, resume) == log
        by_count = dataclasses.replace(resume, tail=b"", first=log[:38])
        assert stored + read_log(executor, container_id, by_count) == log


def _second_before(log: bytes) -> bytes:
    first = nanoseconds(moment(log[8:38].decode()))
    return stamp(first - 1_000_000_000)


def test_what_a_rotating_engine_has_dropped_is_known(docker_engine):
    executor = DockerExecutor(host_view(docker_engine.url, log_max_size="50k"))
    executor.check()
    seen = run(executor, script("seq 20000"))
    held = read_log(executor, seen.container_id)
    first = pack(STDOUT, _second_before(held), b"1\n")
    gone = resume_after(first)
    source = executor.open_log(seen.container_id, gone, follow=False)
    rest = b"".join(drain(source))

    assert seen.log_limit_bytes == 50 * 1024
    assert written(held, STDOUT).endswith(b"20000\n")
    assert not written(held, STDOUT).startswith(b"1\n")
    assert rest == held
    assert "dropped" in source.missing
    executor.remove(seen.container_id)
    executor.close()

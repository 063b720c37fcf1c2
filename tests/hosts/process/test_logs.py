"""The log of a process: framed, exact, and resumed anywhere."""

from __future__ import annotations

import os
import random
import select
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hosts.errors import DockerConnectionError
from hosts.executors.log_source import LogSource
from hosts.executors.process.logs import MOST_PAYLOAD, frame, pieces
from tests.hosts.process.support import (
    FOREVER,
    Bench,
    frames,
    offsets,
    payloads,
    python,
    read_to_end,
    shell,
    wait_until_read,
)
from tests.support.waiting import wait_until

pytestmark = pytest.mark.process

NOISY = """
import os, random
noise = random.Random(1)
for n in range(300):
    os.write(1 + n % 2, noise.randbytes(noise.randrange(900)))
os.write(1, b"x" * 40000)
"""


def written(bench: Bench, container_id: str) -> tuple[bytes, bytes]:
    folder = bench.folder(container_id).path
    return (folder / "stdout").read_bytes(), (folder / "stderr").read_bytes()


def readable(source: LogSource, timeout_seconds: float = 0) -> bool:
    return bool(select.select([source.fileno()], [], [], timeout_seconds)[0])


@given(st.lists(st.sampled_from([b"\n", b"ab", b"x" * 5000, b"y" * MOST_PAYLOAD])), st.booleans())
def test_pieces_are_lines_or_full(parts: list[bytes], final: bool) -> None:
    block = b"".join(parts)
    cut = list(pieces(block, final=final))

    assert block.startswith(b"".join(cut))
    assert all(0 < len(piece) <= MOST_PAYLOAD for piece in cut)
    whole = cut[:-1] if final else cut
    assert all(piece.endswith(b"\n") or len(piece) == MOST_PAYLOAD for piece in whole)
    rest = block[len(b"".join(cut)) :]
    assert not (rest and final)
    assert b"\n" not in rest
    assert len(rest) < MOST_PAYLOAD


def test_a_frame_is_the_contracts() -> None:
    at = datetime(2024, 2, 3, 4, 5, 6, tzinfo=UTC)

    made = frame(2, b"hello\n", at_ns=int(at.timestamp()) * 10**9 + 7)

    assert made == b"\x02\0\0\0\0\0\0\x252024-02-03T04:05:06.000000007Z hello\n"


def test_a_log_is_resumed_at_any_place_without_gap_or_repeat(bench: Bench) -> None:
    container_id = bench.start(python(NOISY))
    bench.ended(container_id)
    stdout, stderr = written(bench, container_id)
    chance = random.Random(2)

    for turn in range(30):
        resume = offsets(chance.randrange(len(stdout) + 1), chance.randrange(len(stderr) + 1))
        source = bench.executor.open_log(container_id, resume, follow=bool(turn % 2))
        data = read_to_end(source, budget=chance.choice([1, 5000, 10**6]))
        assert payloads(data) == (stdout[resume.stdout_bytes :], stderr[resume.stderr_bytes :])


def test_a_follower_that_starts_over_misses_nothing(bench: Bench) -> None:
    container_id = bench.create(python(NOISY))
    source = bench.executor.open_log(container_id, offsets(), follow=True)
    assert source.read(1000) == b""
    bench.executor.start(container_id)
    stdout, stderr, block = b"", b"", b""

    while (block := wait_until_read(source, 20000)) is not None:  # type: ignore[assignment]
        new = payloads(block)
        stdout, stderr = stdout + new[0], stderr + new[1]
        source.close()
        source = bench.executor.open_log(container_id, offsets(len(stdout), len(stderr)), follow=True)
    source.close()

    assert (stdout, stderr) == written(bench, container_id)


def test_the_descriptor_wakes_a_follower(bench: Bench) -> None:
    os.mkfifo(bench.root.parent / "gate")
    script = f"while read line; do echo $line; done < {bench.root.parent}/gate; exit 3"
    container_id = bench.start(shell(script))
    source = bench.executor.open_log(container_id, offsets(), follow=True)
    got: list[bytes | None] = []

    def read_when_woken(until: bytes | None) -> None:
        while until not in got:
            assert readable(source, 5), "the descriptor never got readable"
            block = source.read(65536)
            got.extend([block] if block is None else [payload for _, _, payload in frames(block)])

    with open(bench.root.parent / "gate", "w", buffering=1) as gate:
        for line in ("one", "two"):
            gate.write(f"{line}\n")
            read_when_woken(f"{line}\n".encode())
        wait_until(lambda: not (source.read(65536) or readable(source)), what="rest with nothing to read")
    read_when_woken(None)
    source.close()
    source.close()

    assert [block for block in got if block] == [b"one\n", b"two\n"]


def test_a_line_is_held_back_until_it_is_whole(bench: Bench) -> None:
    container_id = bench.start(shell("printf 'one\\ntw'; read line < /dev/null; exec sleep 1000"))
    bench.said(container_id, b"tw")

    so_far = read_to_end(bench.executor.open_log(container_id, offsets(), follow=False))
    follower = bench.executor.open_log(container_id, offsets(4), follow=True)
    assert follower.read(1000) == b""
    bench.executor.signal(container_id, "KILL")
    rest = read_to_end(follower)

    assert (payloads(so_far)[0], payloads(rest)[0]) == (b"one\n", b"tw")


def test_reading_without_following_stops_at_the_present_end(bench: Bench) -> None:
    os.mkfifo(bench.root.parent / "gate")
    container_id = bench.start(
        shell(f"echo one; read line < {bench.root.parent}/gate; echo two; exec {FOREVER}")
    )
    bench.said(container_id, b"one\n")

    source = bench.executor.open_log(container_id, offsets(), follow=False)
    (bench.root.parent / "gate").write_text("go\n")
    bench.said(container_id, b"two\n")

    assert payloads(read_to_end(source))[0] == b"one\n"


def test_a_follower_comes_to_its_end_when_the_shim_is_killed(bench: Bench) -> None:
    container_id = bench.start(shell(f"echo one; exec {FOREVER}"))
    bench.said(container_id, b"one\n")
    source = bench.executor.open_log(container_id, offsets(), follow=True)
    os.kill(bench.processes_of(container_id).shim_pid, 9)

    assert payloads(read_to_end(source)) == (b"one\n", b"")


def test_a_follower_comes_to_its_end_when_the_job_is_removed(bench: Bench) -> None:
    container_id = bench.start(shell(f"echo one; exec {FOREVER}"))
    bench.said(container_id, b"one\n")
    source = bench.executor.open_log(container_id, offsets(), follow=True)
    bench.executor.remove(container_id, force=True)

    assert payloads(read_to_end(source)) == (b"one\n", b"")
    with pytest.raises(DockerConnectionError):
        bench.executor.open_log(container_id, offsets(), follow=True)


def test_without_inotify_a_log_can_still_be_read(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more(path: str) -> int:
        raise OSError(24, "no more inotify instances")

    monkeypatch.setattr("hosts.inotify.watch", no_more)
    container_id = bench.start("echo one")
    source = bench.executor.open_log(container_id, offsets(), follow=True)

    assert source.fileno() == -1
    assert payloads(read_to_end(source)) == (b"one\n", b"")

"""Which deaths of workers are put down to an attempt, and how the clerk gets to know of them."""

from __future__ import annotations

import json
import signal
import socket
import uuid
from pathlib import Path

import pytest

from supervisor.deaths import DeathBook, blamed, memory_kills, words
from supervisor.exit_codes import CONFIGURATION, FAILED, INTERNAL, OK, TRY_LATER
from supervisor.lines import LineSocket
from supervisor.worker.breadcrumb import Left

MAIN, PUMP, ENGINE = 0x7F0000000001, 0x7F0000000002, 0x7F0000000003
MINE = Left(uuid.uuid4(), MAIN, raised=False)
READ = Left(uuid.uuid4(), PUMP, raised=False)
CRASHES = [-signal.SIGSEGV, -signal.SIGBUS, -signal.SIGABRT]


def raised(left: Left) -> Left:
    return Left(left.attempt_id, left.thread, raised=True)


def stacks(thread: int) -> str:
    """What faulthandler writes when this thread crashes."""
    return (
        "Fatal Python error: Segmentation fault\n\n"
        f'Thread 0x{ENGINE + 1:016x} (most recent call first):\n  File "pool.py", line 52 in _work\n\n'
        f'Current thread 0x{thread:016x} (most recent call first):\n  File "progress.py", line 31 in apply\n'
    )


class TestBlame:
    @pytest.mark.parametrize("code", CRASHES)
    def test_a_crash_counts_against_the_attempt_of_the_thread_that_crashed(self, code: int) -> None:
        assert blamed(code, [MINE, READ], stacks=stacks(MAIN)) == MINE
        assert blamed(code, [MINE, READ], stacks=stacks(PUMP)) == READ

    @pytest.mark.parametrize("code", CRASHES)
    def test_a_crash_of_another_thread_counts_against_nobody(self, code: int) -> None:
        assert blamed(code, [MINE, READ], stacks=stacks(ENGINE)) is None
        assert blamed(code, [READ], stacks=stacks(MAIN)) is None

    @pytest.mark.parametrize("code", CRASHES)
    def test_without_stacks_the_main_thread_is_thought_of_first(self, code: int) -> None:
        assert blamed(code, [MINE, READ]) == MINE
        assert blamed(code, [READ]) == READ
        assert blamed(code, []) is None

    def test_an_uncaught_exception_counts_where_it_left_its_name(self) -> None:
        assert blamed(INTERNAL, [raised(MINE), READ]) == raised(MINE)
        assert blamed(INTERNAL, [MINE, raised(READ)]) == raised(READ)
        assert blamed(INTERNAL, [MINE, READ]) is None

    def test_a_kill_counts_only_if_the_kernel_says_that_it_was_for_memory(self) -> None:
        assert blamed(-signal.SIGKILL, [MINE, READ]) is None
        assert blamed(-signal.SIGKILL, [MINE, READ], memory_kill=True) == MINE
        assert blamed(-signal.SIGKILL, [], memory_kill=True) is None

    @pytest.mark.parametrize("code", [*CRASHES, -signal.SIGKILL])
    def test_a_worker_that_the_master_stopped_for_being_stuck_counts_against_nobody(self, code: int) -> None:
        assert blamed(code, [MINE], stacks=stacks(MAIN), stuck=True, memory_kill=True) is None

    @pytest.mark.parametrize("code", [OK, FAILED, TRY_LATER, CONFIGURATION, -signal.SIGTERM, -signal.SIGINT])
    def test_any_other_end_counts_against_nobody(self, code: int) -> None:
        assert blamed(code, [raised(MINE), READ], memory_kill=True) is None


def test_the_words_name_the_signal_the_host_and_the_process() -> None:
    for code, how in [
        (-signal.SIGBUS, "SIGBUS"),
        (-signal.SIGKILL, "SIGKILL (out of memory)"),
        (INTERNAL, "an uncaught exception"),
    ]:
        said = words(code, "build-1", 4711)
        assert f"worker of host build-1 (process 4711) died by {how} while" in said


class TestMemoryKills:
    """`cgroups` is what /proc/self/cgroup says, `root` stands for /sys/fs/cgroup."""

    def count(self, tmp_path: Path, said: str, files: dict[str, str]) -> int | None:
        cgroups, root = tmp_path / "cgroup", tmp_path / "fs"
        cgroups.write_text(said)
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        return memory_kills(cgroups=cgroups, root=root)

    def test_version_1(self, tmp_path: Path) -> None:
        files = {"memory/a/b/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"}
        assert self.count(tmp_path, "8:pids:/\n4:memory,x:/a/b\n0::/\n", files) == 3

    def test_version_2(self, tmp_path: Path) -> None:
        files = {"a/b/memory.events": "low 0\nhigh 0\nmax 7\noom 2\noom_kill 1\noom_group_kill 0\n"}
        assert self.count(tmp_path, "0::/a/b\n", files) == 1

    def test_in_a_container_that_is_told_the_hosts_path(self, tmp_path: Path) -> None:
        files = {"memory/memory.oom_control": "oom_kill 5\n"}
        assert self.count(tmp_path, "4:memory:/docker/abc\n", files) == 5

    def test_where_nothing_tells_nothing_is_proved(self, tmp_path: Path) -> None:
        assert self.count(tmp_path, "0::/\n", {}) is None
        assert memory_kills(cgroups=tmp_path / "none", root=tmp_path) is None

    def test_of_an_old_kernel(self, tmp_path: Path) -> None:
        files = {"memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\n"}
        assert self.count(tmp_path, "4:memory:/\n", files) is None


class TestDeathBook:
    def told(self, book: DeathBook) -> list[dict[str, str]]:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            book.tell(LineSocket(ours))
            theirs.setblocking(False)
            try:
                return [json.loads(line)["death"] for line in theirs.recv(1 << 20).splitlines()]
            except BlockingIOError:
                return []

    def test_a_death_is_told_to_every_clerk_until_one_says_that_it_is_written(self) -> None:
        book = DeathBook()
        book.add("a1", "h1", "it died", 100.0)
        (death,) = self.told(book)
        assert (death["attempt"], death["what"]) == ("a1", "it died")
        assert self.told(book) == [death]
        book.written(death["id"])
        assert self.told(book) == []

    def test_without_a_clerk_it_is_kept(self) -> None:
        book = DeathBook()
        book.add("a1", "h1", "it died", 100.0)
        book.tell(None)
        assert len(self.told(book)) == 1

    def test_only_so_many_are_kept_the_newest(self) -> None:
        book = DeathBook()
        for number in range(150):
            book.add(f"a{number}", "h1", "it died", 100.0)
        assert [death["attempt"] for death in self.told(book)] == [f"a{n}" for n in range(50, 150)]

    def test_the_hosts_next_worker_waits_until_the_death_is_written_or_a_few_seconds(self) -> None:
        book = DeathBook()
        book.add("a1", "h1", "it died", 100.0)
        assert book.hold_back("h1", 104.9)
        assert not book.hold_back("h2", 104.9)
        assert not book.hold_back("h1", 105.0)
        book.written(self.told(book)[0]["id"])
        assert not book.hold_back("h1", 100.0)

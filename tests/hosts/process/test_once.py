"""A job starts once, whoever tries, and however often."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hosts.errors import ContainerBusy, DockerConnectionError, EngineError
from hosts.executors.process import launch, processes
from hosts.executors.process.store import Phase
from tests.hosts.process.support import FOREVER, Bench, job_view, shell
from tests.support.waiting import wait_until

pytestmark = pytest.mark.process

SHIM = Path(launch.__file__).parent / "shim"


def run_shim(folder: Path, container_id: str) -> str:
    """What a shim answers."""
    command = [sys.executable, "-I", "-S", str(SHIM), str(folder), container_id]
    said = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True, timeout=20
    ).stdout
    return str(json.loads(said)["answer"])


def test_a_second_start_does_nothing(bench: Bench) -> None:
    container_id = bench.start("echo once")
    bench.executor.start(container_id)
    bench.ended(container_id)
    bench.executor.start(container_id)

    assert (bench.folder(container_id).path / "stdout").read_bytes() == b"once\n"


def test_of_many_shims_one_runs_the_job(bench: Bench) -> None:
    container_id = bench.create(shell(f"echo once; exec {FOREVER}"))
    folder = bench.folder(container_id)

    with ThreadPoolExecutor(8) as pool:
        answers = sorted(pool.map(lambda _: run_shim(folder.path, container_id), range(8)))

    assert answers == ["started"] + ["taken"] * 7
    bench.said(container_id, b"once\n")
    assert (folder.path / "stdout").read_bytes() == b"once\n"


def test_many_threads_may_start_it(bench: Bench) -> None:
    container_id = bench.create(shell(f"echo once; exec {FOREVER}"))

    def start(_: int) -> str:
        try:
            bench.executor.start(container_id)
        except DockerConnectionError:
            return "in doubt"
        return "started"

    with ThreadPoolExecutor(8) as pool:
        assert "started" in set(pool.map(start, range(8)))

    bench.said(container_id, b"once\n")
    assert (bench.folder(container_id).path / "stdout").read_bytes() == b"once\n"


def test_a_name_is_taken_once(bench: Bench) -> None:
    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(lambda _: bench.executor.create(job_view(FOREVER, name="same")), range(8)))

    assert [one.fresh for one in seen].count(True) == 1
    assert len({one.container_id for one in seen}) == 1


def test_a_job_is_either_removed_or_started(bench: Bench) -> None:
    def start(container_id: str) -> bool:
        try:
            bench.executor.start(container_id)
        except DockerConnectionError:
            return False
        return True

    def remove(container_id: str) -> bool:
        try:
            bench.another_executor().remove(container_id)
        except ContainerBusy:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        for turn in range(20):
            container_id = bench.create(FOREVER)
            calls = (start, remove) if turn % 2 else (remove, start)
            done = [pool.submit(call, container_id) for call in calls]
            assert {call.result() for call in done} == {True, False}
            seen = bench.executor.observe(container_id)
            assert (seen is None) == (not processes.members(container_id))
            bench.executor.remove(container_id, force=True)


def test_a_job_that_is_being_removed_cannot_be_started(bench: Bench) -> None:
    container_id = bench.create("echo never")
    assert bench.folder(container_id).revoke(container_id)

    with pytest.raises(DockerConnectionError):
        bench.executor.start(container_id)
    assert run_shim(bench.folder(container_id).path, container_id) == "taken"
    assert bench.observe(container_id).state == "created"

    bench.another_executor().remove(container_id)
    assert bench.executor.observe(container_id) is None


def test_a_job_that_ran_unseen_is_not_removed_as_one_that_never_did(bench: Bench) -> None:
    container_id = bench.create("true")
    folder = bench.folder(container_id)
    bench.another_executor().start(container_id)
    wait_until(lambda: folder.phase() is Phase.EXITED, what="the end of the job")

    with pytest.raises(ContainerBusy):
        bench.executor.remove(container_id)
    assert bench.observe(container_id).exit_code == 0
    bench.executor.remove(container_id)
    assert bench.executor.observe(container_id) is None


def test_a_late_shim_does_not_run_the_next_job_of_that_name(bench: Bench) -> None:
    old = bench.create("echo old", name="same")
    bench.executor.remove(old)
    new = bench.create("echo new", name="same")

    assert run_shim(bench.folder(new).path, old) == "gone"
    assert not bench.folder(new).revoke(old)
    with pytest.raises(EngineError):
        bench.executor.start(old)
    assert bench.observe(new).started_at is None

"""A process host whose disk is full: said in one word, nothing lost, and what is deleted makes room."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hosts.errors import DockerConnectionError
from tests.hosts.process.support import FOREVER, Bench, job_view, shell
from tests.support import small_disk
from tests.support.small_disk import SmallDisk

pytestmark = pytest.mark.process


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk.mounted(tmp_path / "small", megabytes=2, name="process") as disk:
        yield disk


@pytest.fixture
def bench(disk: SmallDisk, settings: Any) -> Iterator[Bench]:
    settings.TALLYMAN_ALLOW_PROCESS_EXECUTOR = True
    bench = Bench(disk.path / "process")
    yield bench
    disk.make_room()
    for seen in bench.executor.list_containers():
        bench.executor.remove(seen.container_id, force=True)


def test_a_job_that_cannot_be_made_or_started_says_why_and_runs_once_there_is_room(
    bench: Bench, disk: SmallDisk
) -> None:
    made = bench.create(shell("echo ran"))
    disk.fill()
    late = job_view(shell("echo ran"))
    for launch in (lambda: bench.executor.create(late), lambda: bench.executor.start(made)):
        with pytest.raises(DockerConnectionError, match="No space left") as caught:
            launch()
        assert caught.value.failure_class == "disk_full"
        assert "Make room" in caught.value.hint
    assert bench.executor.observe(late.container_name) is None
    assert bench.observe(made).state == "created"
    disk.make_room()
    for container_id in (made, bench.executor.create(late).container_id):
        bench.executor.start(container_id)
        assert bench.ended(container_id).exit_code == 0
        assert (bench.folder(container_id).path / "stdout").read_bytes() == b"ran\n"


def test_a_job_that_fills_the_disk_itself_loses_neither_its_end_nor_what_it_wrote(
    bench: Bench, disk: SmallDisk
) -> None:
    container_id = bench.start(
        shell("echo begun; yes > filler 2>/dev/null; exit 7"), directory=str(disk.path)
    )
    assert bench.ended(container_id).exit_code == 7
    assert (bench.folder(container_id).path / "stdout").read_bytes() == b"begun\n"


def test_whatever_state_a_job_is_in_it_can_be_removed_from_a_full_disk(bench: Bench, disk: SmallDisk) -> None:
    unstarted, running, ended = bench.create(FOREVER), bench.start(FOREVER), bench.start(shell("exit 3"))
    bench.ended(ended)
    disk.fill()
    bench.executor.remove(unstarted)
    bench.executor.remove(ended)
    bench.executor.remove(running, force=True)
    assert bench.executor.list_containers() == []
    assert [path.name for path in bench.root.iterdir()] == [".engine.json"], "nothing is left of them"

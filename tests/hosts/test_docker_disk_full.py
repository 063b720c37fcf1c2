"""An engine whose disk is full: nothing was started, and it is nobody's job that is to blame."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hosts.errors import LaunchFailed
from hosts.executors.docker import DockerExecutor
from tests.support import engines
from tests.support.containers import host_view, job_view, run, until_exited
from tests.support.engines import Engine
from tests.support.requirements import missing

pytestmark = [pytest.mark.docker, pytest.mark.sqlite_only]


@pytest.fixture
def small_engine() -> Iterator[Engine]:
    """An engine that keeps its data in a few megabytes of memory."""
    if reason := engines.unavailable():
        missing("docker", reason)
    engine = Engine()
    disk = engine.folder / "data"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk], check=False)
    if mounted.returncode:
        engine.destroy()
        missing("docker", "no file system can be mounted here")
    try:
        engine.start()
        yield engine
    finally:
        (disk / "fill").unlink(missing_ok=True)
        engine.destroy()


def fill(disk: Path) -> None:
    with contextlib.suppress(OSError), (disk / "fill").open("wb", buffering=0) as file:
        while file.write(bytes(1 << 16)):
            pass


def test_a_full_disk_is_the_engines_trouble_and_over_when_there_is_room_again(small_engine: Engine) -> None:
    executor = DockerExecutor(host_view(small_engine.url))
    disk = small_engine.folder / "data"
    created = executor.create(job_view("true"))
    fill(disk)
    late = job_view("true")
    for launch in (lambda: executor.create(late), lambda: executor.start(created.container_id)):
        with pytest.raises(LaunchFailed, match=r"disk of the engine is full: .*no space left") as caught:
            launch()
        assert caught.value.failure_class == "disk_full"
        assert "docker system df" in caught.value.hint
    assert executor.observe(late.container_name) is None
    (disk / "fill").unlink()
    executor.start(created.container_id)
    assert until_exited(executor, created.container_id).exit_code == 0
    assert run(executor, late).exit_code == 0
    executor.close()

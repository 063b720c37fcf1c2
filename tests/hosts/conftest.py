"""Executors on real engines, cleaned up after."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hosts.executors.docker import DockerExecutor
from tests.support import fake_cloudrun
from tests.support.cloudrun import CloudBench
from tests.support.containers import host_view
from tests.support.engines import Engine
from tests.support.foreign_engine import ForeignEngine


@pytest.fixture
def executor(docker_engine: Engine | ForeignEngine) -> Iterator[DockerExecutor]:
    """An executor of an installation of its own; its containers go when the test ends."""
    executor = DockerExecutor(host_view(docker_engine.url))
    yield executor
    for seen in executor.list_containers():
        executor.remove(seen.container_id, force=True)
    executor.close()


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[CloudBench]:
    """A Cloud Run host on a fake of its own."""
    with fake_cloudrun.serving() as fake:
        yield CloudBench(fake, tmp_path)

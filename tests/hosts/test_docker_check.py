"""Whether an engine is there is known soon, however long its host lets other calls take."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from hosts.errors import DockerConnectionError
from hosts.executors import contract
from hosts.executors.contract import HostView
from hosts.executors.docker import DockerExecutor
from hosts.executors.swarm import SwarmExecutor


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[str]:
    """The address of an engine that takes connections and says nothing, as one that is frozen."""
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        yield f"unix://{path}"


def view(url: str, kind: str, timeout: float) -> HostView:
    config = {"timeout": timeout}
    return HostView(
        id=uuid4(), name="far", executor_type=kind, base_url=url, installation=uuid4(), config=config
    )


@pytest.mark.parametrize("kind", [DockerExecutor, SwarmExecutor])
@pytest.mark.parametrize(("timeout", "check"), [(60.0, 0.2), (0.2, 60.0)], ids=["its own", "the host's"])
def test_of_its_own_time_and_the_hosts_the_shorter_one_ends_a_check(
    silent: str,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[DockerExecutor] | type[SwarmExecutor],
    timeout: float,
    check: float,
) -> None:
    monkeypatch.setattr(contract, "CHECK_SECONDS", check)
    executor, began = kind(view(silent, kind.kind, timeout)), time.monotonic()
    with pytest.raises(DockerConnectionError, match="did not answer in time"):
        executor.check()
    assert time.monotonic() - began < 5


def test_other_calls_have_the_time_that_the_host_gives_them(
    silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contract, "CHECK_SECONDS", 0.1)
    executor = DockerExecutor(view(silent, "docker", 1.0))
    with pytest.raises(DockerConnectionError):
        executor.check()
    began = time.monotonic()
    with pytest.raises(DockerConnectionError):
        executor.list_containers()
    assert time.monotonic() - began >= 1.0

"""Fixtures for tests that need real engines. Each pytest-xdist worker starts its own: that takes 0.3 s."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import engines
from tests.support.engines import Engine
from tests.support.foreign_engine import ForeignEngine, foreign_engine
from tests.support.requirements import missing
from tests.support.swarms import SwarmNode, running_swarm


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[Engine | ForeignEngine]:
    """An engine with the image `busybox:latest`, shared by all tests: clean up, and do not stop it."""
    if reason := engines.unavailable():
        foreign = foreign_engine()
        if foreign is None:
            missing("docker", f"{reason}, and no engine answers at DOCKER_HOST or the usual socket")
        yield foreign
        foreign.api.close()
        return
    with engines.running_engine() as engine:
        yield engine


@pytest.fixture(scope="session")
def _swarm() -> Iterator[SwarmNode]:
    if reason := engines.unavailable():
        missing("docker", reason)
    with running_swarm() as node:
        yield node


@pytest.fixture
def swarm(_swarm: SwarmNode) -> Iterator[SwarmNode]:
    """A swarm of one node, shared by all tests and not to be stopped; empty when a test gets it."""
    yield _swarm
    _swarm.clear()


@pytest.fixture
def two_engines(_engine_pair: tuple[Engine, Engine]) -> tuple[Engine, Engine]:
    """Two engines to stop, kill and freeze; alive and empty when a test gets them."""
    for engine in _engine_pair:
        engine.heal()
    return _engine_pair


@pytest.fixture(scope="session")
def _engine_pair() -> Iterator[tuple[Engine, Engine]]:
    if reason := engines.unavailable():
        missing("docker", reason)
    with engines.running_engine() as one, engines.running_engine() as other:
        yield one, other

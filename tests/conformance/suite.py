"""The conformance suite. Make a class of your own of it, with a fixture `kit`, and let pytest run it:

class TestMine(Conformance):
    @pytest.fixture
    def kit(self, tmp_path) -> Kit:
        return Kit(HostView(..., executor_type="mine", config={"folder": str(tmp_path)}))
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hosts.executors.contract import ContainerExecutor
from tests.conformance.kit import Kit
from tests.conformance.lifecycle import Lifecycle
from tests.conformance.logs import Logs
from tests.conformance.manners import Manners


class Conformance(Lifecycle, Logs, Manners):
    """Every promise of `hosts.executors.contract`, as far as the executor's flags go."""

    @pytest.fixture
    def kit(self) -> Kit:
        raise NotImplementedError("Give your class a fixture `kit`: what the suite has to know of it.")

    @pytest.fixture
    def executor(self, kit: Kit) -> Iterator[ContainerExecutor]:
        """The one under test; what the test left is removed after it."""
        executor = kit.executor()
        yield executor
        executor.close()
        kit.clean()

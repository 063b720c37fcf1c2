"""The conformance suite on plain processes of this machine."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from hosts.executors.contract import HostView
from tests.conformance.kit import Kit
from tests.conformance.suite import Conformance


class ProcessKit(Kit):
    wrong_settings = (
        ("unix:///var/run/docker.sock", {}),
        ("process://jobs", {}),
        ("", {"root": 5}),
        ("", {"timeout": "soon"}),
    )

    def __init__(self, root: Path) -> None:
        super().__init__(self._at(root))
        self.nowhere = self._at(root / "file" / "below")
        (root / "file").parent.mkdir(parents=True, exist_ok=True)
        (root / "file").write_text("no folder can be made below a file")

    @staticmethod
    def _at(root: Path) -> HostView:
        return HostView(
            id=uuid.uuid4(),
            name="conformance",
            executor_type="process",
            base_url="",
            installation=uuid.uuid4(),
            config={"root": str(root)},
        )


@pytest.mark.process
class TestProcess(Conformance):
    @pytest.fixture
    def kit(self, tmp_path: Path, settings) -> Kit:
        settings.TALLYMAN_ALLOW_PROCESS_EXECUTOR = True
        return ProcessKit(tmp_path / "root")

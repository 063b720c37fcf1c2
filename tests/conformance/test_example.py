"""The conformance suite on the example of docs/executors.md, which is executed as it stands there."""

from __future__ import annotations

import re
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from hosts.executors.contract import HostView
from tests.conformance.kit import Kit
from tests.conformance.suite import Conformance

_PAGE = Path(__file__).resolve().parents[2] / "docs" / "executors.md"
_NAME = "shell_executor"


class ShellKit(Kit):
    wrong_settings = (("", {}), ("", {"folder": "jobs"}), ("", {"folder": 5}))

    def __init__(self, folder: Path) -> None:
        super().__init__(
            HostView(
                id=uuid.uuid4(),
                name="conformance",
                executor_type="shell",
                base_url="",
                installation=uuid.uuid4(),
                config={"folder": str(folder)},
            )
        )
        self._folder = folder

    def clean(self) -> None:
        executor = self.executor()
        for folder in self._folder.glob("*-*"):
            executor.stop_job(folder.name, "KILL")  # type: ignore[attr-defined]


@pytest.mark.process
class TestExample(Conformance):
    @pytest.fixture
    def kit(self, tmp_path: Path, settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kit]:
        (code,) = re.findall(rf"```python\n# example: {_NAME}\.py\n(.*?)```", _PAGE.read_text(), re.DOTALL)
        (tmp_path / f"{_NAME}.py").write_text(code)
        monkeypatch.syspath_prepend(str(tmp_path))
        settings.TALLYMAN_EXECUTORS = {"shell": f"{_NAME}.ShellExecutor"}
        yield ShellKit(tmp_path / "jobs")
        sys.modules.pop(_NAME, None)


def test_the_page_shows_the_specifications_executor_as_the_tests_run_it():
    shown = re.search(r"class MyCustomExecutor.*?return True, result\.job_id", _PAGE.read_text(), re.DOTALL)
    run = (_PAGE.parents[1] / "tests" / "support" / "own_executors.py").read_text()
    body = shown[0].partition("# Your custom launch logic")[2]
    assert re.sub(r"\W", "", body) in re.sub(r"\W", "", run)

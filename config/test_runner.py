"""`manage.py test`: the pytest suite, under the name and with the options Django people expect."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests"

# Words of a dotted label that name no directory here: `jobs.tests.test_claims` and the old single
# package's `container_manager.tests.DockerServiceTest` are both found below tests/.
FILLERS = frozenset({"tests", "container_manager"})
VERBOSITY = {0: ["-qq"], 1: [], 2: ["-v"], 3: ["-vv"]}


class PytestRunner:
    """Django's TEST_RUNNER; hands everything to `python -m tests`, which runs pytest on each database."""

    def __init__(
        self,
        *,
        verbosity: int = 1,
        failfast: bool = False,
        test_name_patterns: list[str] | None = None,
        **_unused: Any,
    ) -> None:
        self.options = [*VERBOSITY.get(verbosity, ["-vv"])]
        if failfast:
            self.options.append("-x")
        if test_name_patterns:
            self.options += ["-k", " or ".join(test_name_patterns)]

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "-k",
            action="append",
            dest="test_name_patterns",
            help="Only run tests whose name contains this word. Can be used multiple times.",
        )

    def run_tests(self, test_labels: list[str]) -> int:
        """Run the labelled tests, or all; returns what the command exits with unless it is 0."""
        paths = [pytest_path(label) for label in test_labels]
        if not TESTS.is_dir():
            raise ImproperlyConfigured(f"There are no tests here: {TESTS} is missing.")
        return subprocess.call([sys.executable, "-m", "tests", *self.options, *paths], cwd=ROOT)


def pytest_path(label: str) -> str:
    """What pytest calls a test that Django calls `label`: a path, or a dotted name below tests/."""
    if "/" in label or "::" in label:
        return label
    parts = [part for part in label.split(".") if part not in FILLERS]
    path = TESTS
    while parts and (step := _step(path, parts[0])):
        path, parts = step, parts[1:]
    if parts and path.is_dir():
        path = _file_with_class(path, parts[0], label)
    return "::".join([str(path.relative_to(ROOT)), *parts])


def _step(directory: Path, name: str) -> Path | None:
    for candidate in (directory / name, directory / f"{name}.py", directory / f"test_{name}.py"):
        if candidate.exists():
            return candidate
    return None


def _file_with_class(directory: Path, name: str, label: str) -> Path:
    heading = re.compile(rf"^class {re.escape(name)}\b", re.MULTILINE)
    for path in sorted(directory.rglob("test_*.py")):
        if heading.search(path.read_text(encoding="utf-8")):
            return path
    raise ImproperlyConfigured(f"There is no test {label!r} below {directory.relative_to(ROOT)}/.")
